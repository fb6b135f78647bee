"""Questions at a terminal, one at a time, each with an example. After a wrong answer the question is asked again."""

import getpass
import textwrap
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_WIDTH = 110


class Wrong(Exception):
    """An answer that is refused; the text says why, and what would be accepted."""


class Dialogue:
    """Asks on stdin and stdout. The caller handles Ctrl-C and end of input: KeyboardInterrupt, EOFError."""

    def report(self, text: str = "", indent: str = "") -> None:
        """Print each line of `text`, wrapped."""
        for line in text.splitlines() or [""]:
            print(textwrap.fill(line, _WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False))

    def topic(self, title: str, text: str) -> None:
        """Print the topic of the next questions."""
        print(f"\n== {title}")
        self.report(text)

    def ask(
        self, question: str, read: Callable[[str], T], *, example: str = "", enter: str | None = None, hidden: bool = False
    ) -> T:
        """The first answer that `read` accepts, as `read` returns it; `enter` stands for an empty answer."""
        shown = f" [{enter}]" if enter and not hidden else ""
        prompt = f"{question}{shown}: "
        while True:
            answer = self._answer(prompt, hidden=hidden)
            try:
                if answer is None:
                    raise Wrong("That was no plain text: type letters and digits, or paste them again.")
                if not answer and enter is None:
                    raise Wrong("An answer is needed" + (f", for example: {example}" if example else "."))
                return read(answer or enter or "")
            except Wrong as wrong:
                self.report(str(wrong), indent="  ! ")

    def yes(self, question: str, *, enter: str | None = None) -> bool:
        """Whether the answer is a full "yes"."""
        return self.ask(f"{question} (yes/no)", _yes, example="yes", enter=enter)

    def _answer(self, prompt: str, *, hidden: bool) -> str | None:
        """The typed line; None for bytes that are no text."""
        try:
            return (getpass.getpass(prompt) if hidden else input(prompt)).strip()
        except UnicodeDecodeError:
            return None


def _yes(answer: str) -> bool:
    if answer.lower() not in ("yes", "no", "y", "n"):
        raise Wrong(f"{answer!r} is neither yes nor no.")
    return answer.lower().startswith("y")
