"""docs/scenarios.md, run from top to bottom against the started gateway: its configuration, commands and their output.

The commands are run by what is here, not by a shell: of curl's options those that the page uses.
"""

from __future__ import annotations

import re
import shlex
import time
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Final

import attrs
import pytest

from gwproxy.cli import main
from tests.wire.kit.client import request
from tests.wire.kit.gateway import GatewayProcess, running
from tests.wire.kit.messages import Response

PAGE: Final = Path(__file__).parents[2] / "docs" / "scenarios.md"
PORTS: Final = {"8080": "PORT", "9180": "PORT_ADMIN"}
SECTIONS: Final = (
    "1. Routing",
    "2. Authentication",
    "3. A cookie becomes a header",
    "4. CORS",
    "5. Limits",
    "6. Logs",
    "7. Metrics",
)
LOG_SECONDS: Final = 5.0


def blocks(language: str, text: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def section(name: str) -> str:
    """What stands below a heading."""
    found = re.search(rf"^## {re.escape(name)}\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert found, f"no section {name}"
    return found[1]


def configuration() -> str:
    (whole,) = blocks("ini", section("The configuration"))
    return whole


@attrs.frozen
class Step:
    """A command, and what it should print."""

    command: str
    output: str


def steps(text: str) -> list[Step]:
    found = []
    for block in blocks("console", text):
        for piece in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = piece.partition("\n")
            found.append(Step(command, output.rstrip("\n")))
    return found


def matches(output: str, wanted: str) -> bool:
    """Line for line; `...` is anything in a line, and any lines where it stands alone."""
    pattern = ""
    for line in wanted.split("\n"):
        if line == "...":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += ".*".join(map(re.escape, line.split("..."))) + r"\n"
    return re.fullmatch(pattern, output if output.endswith("\n") else f"{output}\n") is not None


class Shell:
    """Runs the commands of the page, in the folder of the gateway."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.gateway: GatewayProcess | None = None
        self._variables: dict[str, str] = {}

    def check(self, step: Step) -> None:
        """Runs it. Raises AssertionError if it prints something else than the page says."""
        deadline = time.monotonic() + LOG_SECONDS
        output = self.run(step.command)
        while step.command.startswith("grep ") and not matches(output, step.output) and time.monotonic() < deadline:
            time.sleep(0.05)  # a log tells nobody that it has grown
            output = self.run(step.command)
        if step.output or not step.command.startswith("curl"):
            assert matches(output, step.output) or output == step.output, f"$ {step.command}\n{output}"

    def run(self, command: str) -> str:
        """What it prints."""
        assigned = re.fullmatch(r"([A-Z]+)=\$\((.*)\)", command)
        if assigned:
            self._variables[assigned[1]] = self.run(assigned[2]).strip()
            return ""
        for name, value in self._variables.items():
            command = command.replace(f"${name}", value)
        output = ""
        for part in command.split(" | "):
            program, *arguments = shlex.split(part)
            match program, arguments:
                case "grep", [word]:
                    output = _only(word, output)
                case "grep", [word, name]:
                    path = self.folder / name
                    output = _only(word, path.read_text() if path.exists() else "")
                case "tail", ["-n", "1"]:
                    output = output[output[:-1].rfind("\n") + 1 :]
                case "curl", _:
                    output = self._curl(arguments)
                case _:
                    output = self._gwproxy(program, arguments)
        return output

    def _gwproxy(self, program: str, arguments: list[str]) -> str:
        assert program == "gwproxy", f"unknown to this test: {program}"
        with pytest.MonkeyPatch.context() as patched, redirect_stdout(StringIO()) as output:
            patched.chdir(self.folder)
            assert main(arguments) == 0, arguments
        return output.getvalue()

    def _curl(self, arguments: list[str]) -> str:
        lines: list[bytes] = []
        method, body, template, whole, quiet, urls = b"", b"", "", False, False, []
        rest = iter(arguments)
        for each in rest:
            match each:
                case "-i":
                    whole = True
                case "-s":
                    pass
                case "-X":
                    method = next(rest).encode()
                case "-H":
                    lines.append(next(rest).encode())
                case "--cookie":
                    lines.append(b"Cookie: " + next(rest).encode())
                case "-d":
                    body = next(rest).encode()
                case "-o":
                    assert next(rest) == "/dev/null"
                    quiet = True
                case "-w":
                    template = next(rest).replace("\\n", "\n")
                case _:
                    assert each.startswith("http://"), f"unknown to this test: {each}"
                    urls = _globbed(each)
        method = method or (b"POST" if body else b"GET")
        if body:
            lines.append(b"Content-Length: %d" % len(body))
            if not any(line.lower().startswith(b"content-type") for line in lines):
                lines.append(b"Content-Type: application/x-www-form-urlencoded")
        output = ""
        for url in urls:
            response = self._ask(url, method, lines, body)
            output += "" if quiet else _shown(response, whole)
            output += template.replace("%{http_code}", str(response.status))
        return output

    def _ask(self, url: str, method: bytes, lines: list[bytes], body: bytes) -> Response:
        found = re.fullmatch(r"http://127\.0\.0\.1:([0-9]+)(/.*)", url)
        assert found is not None and self.gateway is not None
        with self.gateway.connect(PORTS[found[1]]) as client:
            raw = request(*lines, b"Connection: close", method=method, target=found[2].encode(), body=body)
            return client.ask(raw, method=method)


def _only(word: str, text: str) -> str:
    return "".join(f"{line}\n" for line in text.splitlines() if word in line)


def _globbed(url: str) -> list[str]:
    """As curl does: /[1-3] is three."""
    found = re.fullmatch(r"(.*)\[([0-9]+)-([0-9]+)\](.*)", url)
    if found is None:
        return [url]
    return [f"{found[1]}{number}{found[4]}" for number in range(int(found[2]), int(found[3]) + 1)]


def _shown(response: Response, whole: bool) -> str:
    text = response.body.decode()
    if not whole:
        return text
    fields = "".join(f"{name.decode()}: {value.decode()}\n" for name, value in response.headers)
    return f"HTTP/1.1 {response.status} {response.phrase.decode()}\n{fields}\n{text}"


def test_the_seven_scenarios(tmp_path: Path) -> None:
    text = configuration()
    (tmp_path / "gw.ini").write_text(text)
    shell = Shell(tmp_path)
    for step in steps(PAGE.read_text().partition("## 1.")[0]):
        shell.check(step)
    for port, name in PORTS.items():
        assert f"tcp:{port}" in text
        text = text.replace(f"tcp:{port}", f"tcp:@{name}@").replace("@PORT@", "@PORT@:interface=127.0.0.1")
    with running(text, tmp_path, {}) as shell.gateway:
        for name in SECTIONS:
            found = steps(section(name))
            assert found
            for step in found:
                shell.check(step)
        log = (tmp_path / "access.log").read_text() + (tmp_path / "security.log").read_text()
        assert not any(token in log for token in shell._variables.values())


def test_every_section_is_run() -> None:
    assert re.findall(r"^## (.*)", PAGE.read_text(), re.MULTILINE) == [*SECTIONS, "The configuration"]


@pytest.mark.parametrize("name", SECTIONS)
def test_the_snippets_are_of_that_configuration(name: str) -> None:
    """Each section shown is there, word for word."""

    def parts(text: str) -> set[str]:
        lines = [line for line in text.splitlines() if line]
        starts = [number for number, line in enumerate(lines) if line.startswith("[")]
        return {"\n".join(lines[start:end]) for start, end in zip(starts, [*starts[1:], len(lines)], strict=True)}

    shown = blocks("ini", section(name))
    assert shown
    for block in shown:
        assert parts(block) <= parts(configuration())


@pytest.mark.parametrize(
    ("output", "wanted", "same"),
    [
        ("a\n", "a", True),
        ("a\nb\n", "a", False),
        ("a\nb\nc\n", "a\n...", True),
        ("a\nb\nc\n", "...\nc", True),
        ("a\nb\nc\n", "...\nb", False),
        ("a1\n", "a...", True),
        ("a.\n", "a.", True),
        ("ab\n", "a.", False),
    ],
)
def test_the_output_is_compared(output: str, wanted: str, same: bool) -> None:
    assert matches(output, wanted) == same
