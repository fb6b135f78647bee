"""The two Telegram bots: one reports the state of the machines to operators, the other is OpenClaw's."""

from model.secret import External, Secret

_FROM_BOTFATHER = "Telegram > @BotFather > /newbot"
_FROM_UPDATES = "send the bot a message, then https://api.telegram.org/bot<token>/getUpdates > chat.id; groups are negative"

MONITORING_TOKEN = Secret(
    name="telegram_monitoring_bot_token", source=External(obtain=_FROM_BOTFATHER, pattern=r"[0-9]+:[A-Za-z0-9_-]{30,}")
)
MONITORING_CHAT = Secret(name="telegram_monitoring_chat_id", source=External(obtain=_FROM_UPDATES, pattern=r"-?[0-9]{5,}"))
OPENCLAW_TOKEN = Secret(
    name="telegram_openclaw_bot_token", source=External(obtain=_FROM_BOTFATHER, pattern=r"[0-9]+:[A-Za-z0-9_-]{30,}")
)
OPENCLAW_CHAT = Secret(name="telegram_openclaw_chat_id", source=External(obtain=_FROM_UPDATES, pattern=r"-?[0-9]{5,}"))
