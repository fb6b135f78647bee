"""Stands in for Telegram's Bot API: messages are kept, and what the documented limits refuse is refused.

What it accepts, with sources: contracts/api.telegram.org.json. Answers are `{"ok": true, "result": ...}` or `{"ok": false,
"error_code", "description"}`, with `parameters.retry_after` at 429 (core.telegram.org/bots/api#making-requests). One message a
second to one chat is advice there, with bursts allowed: it refuses nothing. grammY, and so OpenClaw, starts with deleteWebhook.
"""

import json
import re
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lab.providers.api import Api, Refused

HOST = "api.telegram.org"
API = Api.of(HOST)
_BOT = re.compile(r"/bot([^/]+)/(\w+)")

Reply = tuple[int, dict[str, Any]]


@dataclass(frozen=True)
class Message:
    """What somebody was sent on Telegram, by the bot of this number."""

    time: float
    bot: int
    chat: str
    text: str


@dataclass
class Telegram:
    """The service, with what was sent by it."""

    wrong: str
    """How the secret half of a token begins that is refused."""
    messages: deque[Message] = field(default_factory=lambda: deque(maxlen=10_000))
    now: Callable[[], float] = time.time
    sleep: Callable[[float], object] = time.sleep

    def answer(self, path: str, given: Mapping[str, Any], headers: Mapping[str, str] = {}) -> Reply:
        found = _BOT.fullmatch(path)
        if not found:
            return _refused(API.refusal("paths", path))
        token, method = found[1], found[2].lower()
        content = headers.get("content-type", "").partition(";")[0].strip()
        refused = (
            API.unless("tokens", token)
            or (API.refusal("credentials") if token.partition(":")[2].startswith(self.wrong) else None)
            or API.unless("methods", method)
            or (API.unless("content types", content) if content else None)
            or API.unless("keys", *(f"{method} {key}" for key in given))
            or self._refusal(token, method, given)
        )
        if refused:
            return _refused(refused)
        bot = int(token.partition(":")[0])
        match method:
            case "getme":
                return _done({"id": bot, "is_bot": True, "first_name": "Lab", "username": "lab_bot"})
            case "getupdates":
                most = API.contract.limits["seconds of a poll"]["most"]
                self.sleep(min(float(most), float(given.get("timeout") or 0)))
                return _done([])
            case "getwebhookinfo":
                return _done({"url": "", "has_custom_certificate": False, "pending_update_count": 0})
            case "sendmessage":
                return self._send(bot, str(given["chat_id"]), str(given["text"]))
        return _done(True)

    def _refusal(self, token: str, method: str, given: Mapping[str, Any]) -> Refused | None:
        """What is wrong with the values."""
        if method in ("setmycommands", "deletemycommands"):
            commands = given.get("commands") or []
            return API.beyond("commands", len(json.loads(commands) if isinstance(commands, str) else commands))
        if method != "sendmessage":
            return None
        chat, text = str(given.get("chat_id") or ""), str(given.get("text") or "")
        now, bot = self.now(), int(token.partition(":")[0])
        of_bot = sum(message.bot == bot and message.time > now - 1 for message in self.messages)
        in_group = sum((message.bot, message.chat) == (bot, chat) and message.time > now - 60 for message in self.messages)
        return (
            (API.unless("chats", chat) if chat else API.refusal("no chat"))
            or API.beyond("bytes of a text", len(text.encode(errors="surrogatepass")))
            or API.beyond("units of a text", len(text.encode("utf-16-le", errors="surrogatepass")) // 2 if text.strip() else 0)
            or API.unless("parse modes", str(given.get("parse_mode") or "").lower())
            or _often(API.beyond("messages a second", of_bot + 1))
            or (_often(API.beyond("messages a minute in a group", in_group + 1)) if chat.startswith("-") else None)
        )

    def _send(self, bot: int, chat: str, text: str) -> Reply:
        now = self.now()
        self.messages.append(Message(now, bot, chat, text))
        # A number, whatever form it came in: typed clients refuse a text, and send the message again.
        number = int(chat) if re.fullmatch(r"-?\d+", chat) else -1
        return _done(
            {"message_id": len(self.messages), "date": int(now), "chat": {"id": number, "type": "private"}, "text": text}
        )


def _done(result: Any) -> Reply:
    return 200, {"ok": True, "result": result}


def _often(beyond: Refused | None) -> Refused | None:
    """The refusal of a limit whose words are the seconds to wait."""
    return API.refusal("often", beyond.words) if beyond else None


def _refused(refused: Refused) -> Reply:
    document: dict[str, Any] = {"ok": False, "error_code": refused.status, "description": refused.words}
    if refused.kind == "often":
        document["parameters"] = {"retry_after": int(refused.words.rpartition(" ")[2])}
    return refused.status, document
