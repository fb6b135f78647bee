"""Runs a program on a terminal of its own, reads its output and types answers, like a person."""

import os
import pty
import re
import select
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_BLANK = r"(?: |\n(?:  ! )?)"
"""A blank, or a place where the dialogue has wrapped the line."""


class PseudoTerminal:
    """The terminal is the program's controlling one: Ctrl-C reaches the program as a signal."""

    def __init__(self, command: Sequence[str], directory: Path, environment: Mapping[str, str]) -> None:
        self.shown, self._seen = "", 0
        self._process, self._end = pty.fork()
        if self._process == 0:
            os.chdir(directory)
            # A test run in the background ignores SIGINT, and the program would inherit that.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.execvpe(command[0], list(command), dict(environment))  # noqa: S606

    def sees(self, text: str, seconds: float = 30) -> str:
        """Wait for `text`, wrapped or not; returns all output since the last wait."""
        before = self._seen
        self.sees_one_of(text, seconds=seconds)
        return self.shown[before : self._seen]

    def sees_one_of(self, *texts: str, seconds: float = 30) -> int:
        """Wait for one of `texts`; returns the index of the first that was shown."""
        words = "|".join(f"({re.escape(text)})" for text in texts).replace(r"\ ", _BLANK)
        pattern, until = re.compile(words), time.monotonic() + seconds
        while not (found := pattern.search(self.shown, self._seen)):
            if not self._reads(until - time.monotonic()):
                raise AssertionError(f"never showed {texts} after:\n{self.shown[self._seen :]}")
        self._seen = found.end()
        return (found.lastindex or 1) - 1

    def types(self, text: str) -> None:
        os.write(self._end, f"{text}\n".encode())

    def interrupts(self) -> None:
        """Send Ctrl-C as late as a person would: not in the microseconds between a prompt and the read after it."""
        time.sleep(0.3)
        os.write(self._end, b"\x03")

    def ends_its_input(self) -> None:
        os.write(self._end, b"\x04")

    def ends(self, seconds: float = 30) -> int:
        """The program's exit code, after all its output."""
        until = time.monotonic() + seconds
        while self._reads(until - time.monotonic()):
            pass
        os.close(self._end)
        while not (ended := os.waitpid(self._process, os.WNOHANG))[0]:
            if time.monotonic() > until:
                os.kill(self._process, signal.SIGKILL)
            time.sleep(0.01)
        return os.waitstatus_to_exitcode(ended[1])

    def _reads(self, seconds: float) -> bool:
        """Whether more output came; False when the program has closed its side or nothing came in time."""
        if seconds <= 0 or not select.select([self._end], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self._end, 65536)
        except OSError:  # EIO: the other side is closed
            return False
        self.shown += data.decode(errors="replace").replace("\r\n", "\n")
        return bool(data)
