"""`make notify`: sends a message to the operators' Telegram chat, with the bot and chat of the stack's configuration."""

import json
import unicodedata

from model.problem import Problem, refuse
from operations.stack import Stack
from operations.web import fetch
from services.telegram import MONITORING_CHAT, MONITORING_TOKEN

_LONGEST = 4096
"""Longest message in UTF-16 units, which Telegram counts; it refuses more."""
_FLAGS = "".join(map(chr, range(0x1F1E6, 0x1F200)))
"""Regional indicator letters; two of them make a flag."""


def notify(stack: Stack, text: str) -> None:
    """Send `text`; raises `Refused` when Telegram does not take it."""
    token, chat = (stack.inputs.external[secret.name] for secret in (MONITORING_TOKEN, MONITORING_CHAT))
    body = json.dumps({"chat_id": chat, "text": shortened(text)}).encode()
    try:
        # The token is part of the URL: the HTTP client's errors must not be shown as they are.
        url = f"https://api.telegram.org/bot{token}/sendMessage"
        status, answer = fetch(stack, url, headers={"content-type": "application/json"}, body=body)
    except OSError as error:
        status, answer = 0, str(error).replace(token, "...").encode()
    if status != 200:
        refuse(
            [
                Problem(
                    what=f"Telegram has not taken the message: {status or 'no answer'}, {_reason(answer)}",
                    why="nobody is told of the result",
                    fix="check the bot's token and the chat's number; the bot has to be a member of the chat",
                    example=f"pulumi config set -s {stack.name} --secret vpai:{MONITORING_TOKEN.name}",
                )
            ]
        )


def shortened(text: str) -> str:
    """The part of `text` that fits a message; it never ends inside a character of several units or code points."""
    kept = text.encode("utf-16-le", errors="replace")[: 2 * _LONGEST].decode("utf-16-le", errors="ignore")
    end = len(kept)
    while 0 < end < len(text) and _joined(text, end):
        end -= 1
    return kept[:end] or kept


def _joined(text: str, at: int) -> bool:
    """Whether the code point at `at` belongs to the character before it: a mark, part of an emoji, a flag's second letter."""
    before, after = text[at - 1], text[at]
    letters = len(text[:at]) - len(text[:at].rstrip(_FLAGS))
    return (
        unicodedata.category(after).startswith("M")
        or "\u200d" in (before, after)
        or "\U0001f3fb" <= after <= "\U0001f3ff"
        or (after in _FLAGS and letters % 2 == 1)
        or (before, after) == ("\r", "\n")
    )


def _reason(answer: bytes) -> str:
    try:
        return str(json.loads(answer)["description"])
    except (ValueError, KeyError, TypeError):
        return answer[:200].decode(errors="replace")
