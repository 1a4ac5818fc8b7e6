"""Child processes end and are reaped, although the place where Python writes signals is uvloop's."""

from __future__ import annotations

from tests.uv.script import output


def test_their_end_is_told_and_they_are_reaped() -> None:
    assert (
        output("""
        class Child(ProcessProtocol):
            count = 0
            def __init__(self, number):
                self.number = number
            def processEnded(self, reason):
                assert reason.value.exitCode == self.number, reason
                Child.count += 1
                if Child.count == 20:
                    reactor.stop()

        for number in range(20):
            reactor.spawnProcess(Child(number), "/bin/sh", ["sh", "-c", f"exit {number}"], env=os.environ)
        reactor.run()
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            print("none left")
        """)
        == "none left\n"
    )


def test_what_they_write_is_read_and_what_they_are_told_is_written() -> None:
    assert (
        output("""
        class Cat(ProcessProtocol):
            got = b""
            def connectionMade(self):
                self.transport.write(b"x" * 1_000_000)
                self.transport.closeStdin()
            def outReceived(self, data):
                self.got += data
            def processEnded(self, reason):
                print(len(self.got), reason.value.exitCode)
                reactor.stop()

        reactor.spawnProcess(Cat(), "/bin/cat", ["cat"], env=os.environ)
        reactor.run()
        """)
        == "1000000 0\n"
    )


def test_one_that_ended_before_the_reactor_ran() -> None:
    """Without pipes, whose end would tell."""
    assert (
        output("""
        class Child(ProcessProtocol):
            def processEnded(self, reason):
                print("ended")
                reactor.stop()

        child = reactor.spawnProcess(Child(), "/bin/sleep", ["sleep", "60"], env=os.environ, childFDs={})
        os.kill(child.pid, signal.SIGKILL)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        reactor.run()
        """)
        == "ended\n"
    )


def test_one_that_is_killed() -> None:
    assert (
        output("""
        class Child(ProcessProtocol):
            def processEnded(self, reason):
                print(reason.value.signal)
                reactor.stop()

        child = reactor.spawnProcess(Child(), "/bin/sleep", ["sleep", "60"], env=os.environ)
        reactor.callWhenRunning(child.signalProcess, "KILL")
        reactor.run()
        """)
        == "9\n"
    )


def test_uninstalled_it_leaves_the_signal_as_it_was() -> None:
    program = """
        from gwproxy.uv.children import ChildSignals

        called = []
        signals = ChildSignals(called.append)
        signals.install()
        os.kill(os.getpid(), signal.SIGCHLD)
        signals.uninstall()
        os.kill(os.getpid(), signal.SIGCHLD)
        print(len(called), signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL)
        """
    assert output(program) == "1 True\n"
