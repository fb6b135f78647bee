"""Stands in for Telegram's Bot API: messages are kept, and what the documented limits refuse is refused.

Contract, each line with its source:
- `/bot<token>/<method>`, JSON or form; answers `{"ok": true, "result": ...}` or `{"ok": false, "error_code", "description"}`,
  with `parameters.retry_after` at 429: core.telegram.org/bots/api, "Making requests" and "ResponseParameters".
- sendMessage: `text` of 1 to 4096 characters, counted in UTF-16 units as entities are ("MessageEntity"); `parse_mode` is
  Markdown, MarkdownV2 or HTML ("Formatting options"). Words of refusals: tdlib/telegram-bot-api, telegram-bot-api/Client.cpp.
- 30 messages a second for a bot, 20 a minute to one group (a negative chat): core.telegram.org/bots/faq, "My bot is hitting
  limits, how do I avoid this?". One a second to one chat is advice there, with bursts allowed: it refuses nothing.
- getUpdates waits for `timeout` seconds ("Getting updates"), at most 50 as Telegram does.
- deleteWebhook, setMyCommands, deleteMyCommands, getWebhookInfo: "Available methods"; a bot starts with them (grammY, OpenClaw).
"""

import re
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

_BOT = re.compile(r"/bot(\d+):([A-Za-z0-9_-]{30,})/(\w+)")
_LONGEST = 4096
_A_SECOND, _A_MINUTE_IN_A_GROUP = 30, 20
_PARSE_MODES = ("markdown", "markdownv2", "html")

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

    def answer(self, path: str, given: Mapping[str, Any]) -> Reply:
        found = _BOT.fullmatch(path)
        if not found or found[2].startswith(self.wrong):
            return _refused(401, "Unauthorized")
        bot, method = int(found[1]), found[3].lower()
        match method:
            case "getme":
                return _done({"id": bot, "is_bot": True, "first_name": "Lab", "username": "lab_bot"})
            case "getupdates":
                self.sleep(min(50.0, float(given.get("timeout") or 0)))
                return _done([])
            case "getwebhookinfo":
                return _done({"url": "", "has_custom_certificate": False, "pending_update_count": 0})
            case "deletewebhook" | "setmycommands" | "deletemycommands":
                return _done(True)
            case "sendmessage":
                return self._send(bot, given)
        return _refused(404, "Not Found")

    def _send(self, bot: int, given: Mapping[str, Any]) -> Reply:
        chat, text = str(given.get("chat_id") or ""), str(given.get("text") or "")
        if not re.fullmatch(r"-?\d+|@\w+", chat):
            return _refused(400, "Bad Request: chat not found" if chat else "Bad Request: chat_id is empty")
        if not text.strip():
            return _refused(400, "Bad Request: message text is empty")
        if len(text.encode("utf-16-le", errors="surrogatepass")) // 2 > _LONGEST:
            return _refused(400, "Bad Request: message is too long")
        if (mode := str(given.get("parse_mode") or "").lower()) and mode not in _PARSE_MODES:
            return _refused(400, "Bad Request: unsupported parse_mode")
        now = self.now()
        of_bot = sum(message.bot == bot and message.time > now - 1 for message in self.messages)
        in_group = sum((message.bot, message.chat) == (bot, chat) and message.time > now - 60 for message in self.messages)
        for seconds, over in ((1, of_bot >= _A_SECOND), (60, chat.startswith("-") and in_group >= _A_MINUTE_IN_A_GROUP)):
            if over:
                refusal = {"ok": False, "error_code": 429, "description": f"Too Many Requests: retry after {seconds}"}
                return 429, {**refusal, "parameters": {"retry_after": seconds}}
        self.messages.append(Message(now, bot, chat, text))
        # A number, whatever form it came in: typed clients refuse a text, and send the message again.
        number = int(chat) if re.fullmatch(r"-?\d+", chat) else -1
        return _done(
            {"message_id": len(self.messages), "date": int(now), "chat": {"id": number, "type": "private"}, "text": text}
        )


def _done(result: Any) -> Reply:
    return 200, {"ok": True, "result": result}


def _refused(status: int, reason: str) -> Reply:
    return status, {"ok": False, "error_code": status, "description": reason}
