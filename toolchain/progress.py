"""Steps with their times: a live counter on a terminal, plain lines elsewhere."""

import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO


@contextmanager
def step(title: str, detail: Callable[[], str] = str, out: TextIO | None = None) -> Iterator[None]:
    """Shows `title`, the seconds since the start and what `detail` says, until the block ends; on stderr without `out`."""
    out = out or sys.stderr
    start = time.monotonic()
    done = threading.Event()
    live = out.isatty()

    def line(mark: str = "") -> str:
        text = f"{title:<30}{time.monotonic() - start:7.1f} s  {mark or detail()}"
        return text[: shutil.get_terminal_size().columns - 1] if live else text

    def tick() -> None:
        while not done.wait(0.5 if live else 30):
            out.write(f"\r\x1b[K{line()}" if live else f"{line()}\n")
            out.flush()

    ticker = threading.Thread(target=tick, daemon=True)
    ticker.start()
    mark = "failed"
    try:
        yield
        mark = "done"
    finally:
        done.set()
        ticker.join()
        out.write(("\r\x1b[K" if live else "") + line(mark) + "\n")
        out.flush()
