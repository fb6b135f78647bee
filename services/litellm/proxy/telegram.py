"""Tells the operator, through the monitoring bot, how far the day's budget is gone."""

from services.litellm.proxy.budget import eco_models
from services.litellm.proxy.settings import ProxySettings
from services.litellm.proxy.web import ask

_SECONDS = 10.0


async def tell(share: float, spent: float, settings: ProxySettings) -> None:
    """One message; does nothing without a bot."""
    if not (settings.telegram_token and settings.telegram_chat):
        return
    body = {"chat_id": settings.telegram_chat, "text": message(share, spent, settings)}
    await ask("POST", f"{settings.telegram_url}/bot{settings.telegram_token}/sendMessage", body, {}, _SECONDS)


def message(share: float, spent: float, settings: ProxySettings) -> str:
    """What the operator reads."""
    text = f"LiteLLM: {share:.0%} of today's {settings.daily_limit:.2f} USD are spent ({spent:.2f})."
    if share >= settings.eco_share:
        text += f" Eco mode until the UTC day turns: only {', '.join(eco_models(settings))} answer."
    return text
