"""A real browser, and the pages that it loads: Chromium without a window, and a server whose pages say what they saw.

A page makes calls with fetch() and posts what became of each: the status, the headers and the body that the browser let
it read, or that it let it read nothing. Every name under `.localhost` and `.test` is this machine; no other is known.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

# A browser starts slowly where processors are few.
BROWSER_PATIENCE = 60.0

_NAMES = (
    "MAP *.localhost 127.0.0.1, MAP *.localhost. 127.0.0.1, MAP *.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
)
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--no-default-browser-check",
    "--no-first-run",
    "--no-proxy-server",
    f"--host-resolver-rules={_NAMES}",
)

# Runs `calls`, pairs of a name and the arguments of fetch(), one after the other; then posts what became of them.
_SCRIPT = """
(async () => {
  const seen = {};
  for (const [name, url, options] of %(calls)s) {
    try {
      const response = await fetch(url, options);
      seen[name] = {
        status: response.status, headers: Object.fromEntries(response.headers), body: await response.text(),
      };
    } catch (error) {
      seen[name] = null;
    }
  }
  await fetch(%(report)s, {method: 'POST', mode: 'no-cors', body: JSON.stringify(seen)});
})();
"""

# By name of the call: what the page could read of the answer; None: nothing, not even that there was one.
Seen = dict[str, Any]


def page_of_calls(calls: Sequence[tuple[str, str, Mapping[str, Any]]], report: str, before: str = "") -> str:
    """A page that makes `calls` (name, URL, options of fetch) and posts what it saw to `report`."""
    script = _SCRIPT % {"calls": json.dumps(calls), "report": json.dumps(report)}
    return f"<!doctype html><title>calls</title>{before}<script>{script}</script>"


class Pages:
    """A server on a port of 127.0.0.1 of its own. `put()` pages; what they post to /seen/NAME waits in `seen(NAME)`."""

    def __init__(self) -> None:
        self._pages: dict[str, tuple[str, dict[str, str]]] = {}
        self._seen: dict[str, Seen] = {}
        self._shown: set[str] = set()
        self._change = threading.Condition()
        pages = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body, headers = pages._pages.get(self.path, ("", {}))
                self._answer(200 if body else 404, body.encode(), headers)
                pages._note_shown(self.path)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self._answer(204, b"", {})
                pages._take(self.path.rpartition("/seen/")[2], json.loads(body))

            def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
                self.send_response(status)
                for name, value in {"Content-Type": "text/html", **headers}.items():
                    self.send_header(name, value)
                if status != 204:
                    self.send_header("Content-Length", str(len(body)))
                with suppress(ConnectionError):  # who has got it may be gone
                    self.end_headers()
                    if body:
                        self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def put(self, path: str, html: str, **headers: str) -> None:
        """A page; `Set_Cookie="..."` is a field of its answer."""
        self._shown.discard(path)
        self._pages[path] = (html, {name.replace("_", "-"): value for name, value in headers.items()})

    def wait_shown(self, path: str) -> None:
        """Until a browser has got the page."""
        with self._change:
            assert self._change.wait_for(lambda: path in self._shown, BROWSER_PATIENCE), f"nobody asked for {path}"

    def seen(self, name: str) -> Seen:
        """What the page reported under this name, once it has."""
        with self._change:
            assert self._change.wait_for(lambda: name in self._seen, BROWSER_PATIENCE), f"page {name} reported nothing"
            return self._seen.pop(name)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _note_shown(self, path: str) -> None:
        with self._change:
            self._shown.add(path)
            self._change.notify_all()

    def _take(self, name: str, seen: Seen) -> None:
        with self._change:
            self._seen[name] = seen
            self._change.notify_all()


def find_chromium() -> str:
    """The program. Where it is missing the test is skipped; in CI that is a failure."""
    program = shutil.which("chromium")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("there is no chromium: apt-get install chromium")
        pytest.skip("there is no chromium on this machine (Debian's package chromium)")
    return program


@contextmanager
def browsing(program: str, url: str, profile: Path) -> Iterator[None]:
    """A browser with this page, until the end of the block. `profile`: a folder for it alone."""
    with (profile / "output").open("wb") as output:
        process = subprocess.Popen(
            [program, *_FLAGS, f"--user-data-dir={profile}", url],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield
    finally:
        # It is a family of processes, in a group of their own.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
