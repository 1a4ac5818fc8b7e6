from __future__ import annotations

import os
import socket
import stat
import threading
from pathlib import Path

import pytest

from gwproxy.observe.targets import FileTarget, StreamTarget, SyslogTarget, make_target


def test_each_name_has_its_target() -> None:
    kinds = [type(make_target("access", where)) for where in ("stdout", "stderr", "syslog", "/var/log/x.log")]
    assert kinds == [StreamTarget, StreamTarget, SyslogTarget, FileTarget]


def test_a_file_is_made_for_its_group_to_read(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    before = os.umask(0)
    try:
        target = FileTarget(str(path))
        target.open()
        target.close()
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_file_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_bytes(b"one\n")
    target = FileTarget(str(path))
    target.open()
    assert target.write(b"xxtwo\n", 2) == 4
    target.close()
    assert path.read_bytes() == b"one\ntwo\n"


def test_a_file_knows_that_it_was_moved(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    target = FileTarget(str(path))
    assert not target.open()
    target.close()
    assert not target.open()
    target.close()
    path.rename(tmp_path / "access.log.1")
    assert target.open()
    target.close()


def test_a_file_that_cannot_be_opened_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        FileTarget(str(tmp_path / "gone" / "access.log")).open()


def test_targets_that_are_not_open_refuse() -> None:
    with pytest.raises(OSError, match="not open"):
        FileTarget("/nowhere").write(b"x\n", 0)
    with pytest.raises(OSError, match="not open"):
        SyslogTarget("access").write(b"x\n", 0)


def test_two_logs_in_one_place_take_turns(tmp_path: Path) -> None:
    """stdout and stderr are often one pipe under two numbers, and a path may be given to two logs."""
    reader, writer = os.pipe()
    second = os.dup(writer)
    streams = [StreamTarget(writer), StreamTarget(second)]
    files = [
        FileTarget(str(tmp_path / "a.log")),
        FileTarget(str(tmp_path / "a.log")),
        FileTarget(str(tmp_path / "b.log")),
    ]
    for stream in streams:
        stream.open()
    for file in files:
        file.open()
    assert streams[0].turn is streams[1].turn
    assert files[0].turn is files[1].turn
    assert files[0].turn is not files[2].turn
    assert files[0].turn is not streams[0].turn
    for file in files:
        file.close()
    for descriptor in (reader, writer, second):
        os.close(descriptor)


def test_a_stream_is_never_closed() -> None:
    reader, writer = os.pipe()
    target = StreamTarget(writer)
    target.open()
    target.close()
    assert target.write(b"x\n", 0) == 2
    os.close(reader)
    os.close(writer)


def test_a_non_blocking_pipe_is_waited_for() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    filler = bytes(4096)
    filled = 0
    with pytest.raises(BlockingIOError):
        while True:
            filled += os.write(writer, filler)
    target = StreamTarget(writer)
    target.open()
    written: list[int] = []
    thread = threading.Thread(target=lambda: written.append(target.write(b"line\n", 0)))
    thread.start()
    got = 0
    while got < filled:
        got += len(os.read(reader, filled - got))
    thread.join(10)
    assert written == [5]
    assert os.read(reader, 100) == b"line\n"
    os.close(reader)
    os.close(writer)


def test_syslog_gets_a_datagram_for_each_line(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(path)
        target = SyslogTarget("security", path)
        target.open()
        data = b"one\ntwo\n"
        offset = 0
        while offset < len(data):
            offset += target.write(data, offset)
        target.close()
        # facility daemon (3), severity warning (4): RFC 5424 section 6.2.1
        tag = f"<28>gwproxy[{os.getpid()}]: ".encode()
        assert [daemon.recv(100), daemon.recv(100)] == [tag + b"one", tag + b"two"]
