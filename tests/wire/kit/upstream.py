"""A real server whose every byte the test decides.

A *handler* is called, in the connection's own thread, whenever bytes of a request are there. It reads what it likes,
sends what it likes, and returns; the connection stays open for the next request unless the handler ended it. All that
was received is recorded, so that a test can say: nothing reached the upstream; exactly once; on the same connection.
"""

from __future__ import annotations

import fcntl
import select
import socket
import struct
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from tests.wire.kit.client import FIN, RST, abort_on_close
from tests.wire.kit.messages import Request, read_request_head
from tests.wire.kit.reader import PATIENCE, Reader

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class UpstreamConnection:
    """One connection, as its handler sees it. See Reader for what reading raises."""

    def __init__(self, upstream: ScriptedUpstream, sock: socket.socket, number: int) -> None:
        self._upstream = upstream
        self._socket = sock
        self._reader = Reader(sock)
        self.number = number
        self.busy = False
        self.ended: str | None = None  # how the other side ended it: FIN or RST

    @property
    def received(self) -> bytes:
        """All bytes that have been read."""
        return bytes(self._reader.received)

    def read_head(self) -> Request:
        """The head of the next request; it is recorded as incomplete."""
        request = read_request_head(self._reader)
        request.connection = self.number
        self._upstream.record(request)
        return request

    def read_body(self, request: Request) -> None:
        """The rest of a request whose head was read."""
        request.read_body(self._reader)
        self._upstream.changed()

    def stream_body(self, request: Request) -> Iterator[bytes]:
        """The rest of a request whose head was read, piece by piece; none of it is kept."""
        for piece in request.pieces(self._reader):
            yield piece
            self._reader.forget()
        self._upstream.changed()

    def read_request(self) -> Request:
        """The next request to its end."""
        request = self.read_head()
        self.read_body(request)
        return request

    def read_some(self) -> bytes:
        """What comes next, raw; empty at a FIN."""
        return self._reader.some()

    def send(self, *pieces: bytes) -> None:
        """Each piece in a segment of its own."""
        for piece in pieces:
            self._socket.sendall(piece)

    def wait(self, gate: threading.Event) -> None:
        """Until the test opens the gate, which it must."""
        assert gate.wait(PATIENCE), "the test never opened the gate"

    def wait_for_more(self, seconds: float) -> bool:
        """Whether bytes, or an end, come within this time."""
        return bool(self._reader.unread or select.select([self._socket], [], [], seconds)[0])

    def is_cut(self, within: float) -> bool:
        """Whether the other side resets it within so many seconds. Reads nothing."""
        poll = select.poll()
        poll.register(self._socket, 0)  # errors and the end of both directions are always told
        return bool(poll.poll(within * 1000))

    def wait_ended(self) -> str:
        """Until the other side ends the connection, reading and dropping what comes; how it ended."""
        try:
            self._reader.rest()
            self._note_end(FIN)
        except ConnectionResetError:
            self._note_end(RST)
        assert self.ended
        return self.ended

    def half_close(self) -> None:
        """Send a FIN, and go on reading."""
        self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._socket.close()

    def reset(self) -> None:
        """End the connection by an RST."""
        abort_on_close(self._socket)
        self._socket.close()

    @property
    def open(self) -> bool:
        """Whether this side has not closed it."""
        return self._socket.fileno() >= 0

    def serve(self) -> None:
        """For the upstream: call the handler for request after request."""
        while self.open and not self.ended and self._wait_for_bytes():
            self.busy = True
            try:
                self._upstream.handler(self)
            finally:
                self.busy = False
                self._upstream.changed()

    def quiet(self) -> bool:
        """No handler runs, and no byte is waiting for one."""
        if self.busy:
            return False
        if not self.open:
            return True
        waiting: int = struct.unpack("i", fcntl.ioctl(self._socket, termios.FIONREAD, bytes(4)))[0]
        return waiting == 0 and not self._reader.unread

    def wake(self) -> None:
        """For the upstream: end it from another thread."""
        with suppress(OSError):  # ended by the other side meanwhile
            self._socket.shutdown(socket.SHUT_RDWR)

    def _wait_for_bytes(self) -> bool:
        """An idle connection waits as long as it takes: a pool keeps it, and the end of the test closes it."""
        if self._reader.unread:
            return True
        self._socket.settimeout(None)
        try:
            if self._socket.recv(1, socket.MSG_PEEK):
                return True
            self._note_end(FIN)
        except ConnectionResetError:
            self._note_end(RST)
        finally:
            self._socket.settimeout(PATIENCE)
        return False

    def _note_end(self, how: str) -> None:
        self.ended = how
        self._upstream.changed()


Handler = Callable[[UpstreamConnection], None]


def respond(*pieces: bytes, close: bool = False) -> Handler:
    """A handler that reads each request to its end and answers with these bytes."""

    def handler(connection: UpstreamConnection) -> None:
        connection.read_request()
        connection.send(*pieces)
        if close:
            connection.close()

    return handler


def silent(connection: UpstreamConnection) -> None:
    """A handler that reads the request and never answers."""
    connection.read_request()
    connection.wait_ended()


class ScriptedUpstream:
    """Listens on a port of 127.0.0.1 of its own. `handler` and `on_connect` may be set at any time."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._change = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._closing = False
        self._count = 0
        self.forget()
        self._spawn(self._accept)

    def forget(self) -> None:
        """A new test: nothing recorded, every request answered with OK. Open connections stay, as a pool has them."""
        with self._change:
            self.handler: Handler = respond(OK)
            self.on_connect: Handler | None = None
            self.requests: list[Request] = []
            self.failures: list[BaseException] = []
            still_open = [connection for connection in getattr(self, "connections", []) if connection.open]
            self.connections: list[UpstreamConnection] = still_open

    def record(self, request: Request) -> None:
        """For connections: a head has arrived."""
        with self._change:
            self.requests.append(request)
            self._change.notify_all()

    def changed(self) -> None:
        """For connections: wake those who wait."""
        with self._change:
            self._change.notify_all()

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        """Until the condition holds; it is looked at whenever something is recorded."""
        with self._change:
            assert self._change.wait_for(condition, PATIENCE), f"{what} did not happen; requests: {self.requests}"

    def wait_for_requests(self, count: int, *, complete: bool = True) -> list[Request]:
        """The first `count` requests, once there are so many, to their ends or heads only."""

        def enough() -> bool:
            return len([request for request in self.requests if request.complete or not complete]) >= count

        self.wait_for(enough, f"request {count}")
        return self.requests[:count]

    def only_request(self) -> Request:
        """The one request that came, after everything is quiet."""
        self.wait_quiet()
        assert len(self.requests) == 1, f"{len(self.requests)} requests: {self.requests}"
        return self.requests[0]

    def connection_of(self, request: Request) -> UpstreamConnection:
        return next(each for each in self.connections if each.number == request.connection)

    def wait_dropped(self) -> None:
        """Until every connection that had a request is at its end: none of them will be used again."""

        def dropped() -> bool:
            used = [self.connection_of(request) for request in self.requests]
            return all(connection.ended or not connection.open for connection in used)

        self.wait_for(dropped, "the end of the connections")

    def wait_quiet(self) -> None:
        """Until no connection waits to be accepted, no byte waits to be read and no handler runs."""
        deadline = time.monotonic() + PATIENCE
        while not self._quiet():
            assert time.monotonic() < deadline, "the upstream is still at work"
            # Nothing announces that bytes in the kernel have been read.
            time.sleep(0.001)

    def close(self) -> None:
        """End everything. Raises what a handler raised."""
        self._closing = True
        self._listener.shutdown(socket.SHUT_RDWR)
        for connection in self.connections:
            connection.wake()
        for thread in self._threads:
            thread.join(PATIENCE + 1)
            assert not thread.is_alive(), "a handler hangs"
        self._listener.close()
        self.raise_failures()

    def raise_failures(self) -> None:
        """What handlers raised, other than the end of their connection, fails the test."""
        if self.failures:
            raise AssertionError(f"in a handler: {self.failures}") from self.failures[0]

    def _quiet(self) -> bool:
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        return not poll.poll(0) and all(connection.quiet() for connection in self.connections)

    def _spawn(self, target: Callable[..., None], *arguments: object) -> None:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return  # close() has been called
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = UpstreamConnection(self, sock, self._count)
            self._count += 1
            with self._change:
                self.connections.append(connection)
                self._change.notify_all()
            self._spawn(self._serve, connection)

    def _serve(self, connection: UpstreamConnection) -> None:
        try:
            if self.on_connect:
                self.on_connect(connection)
            connection.serve()
        except (EOFError, ConnectionError):
            pass  # the gateway ended it: the test looks at what was recorded
        except BaseException as failure:
            if not self._closing:
                self.failures.append(failure)
        finally:
            connection.close()
            self.changed()
