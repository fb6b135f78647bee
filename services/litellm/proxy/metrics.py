"""The budget in Prometheus' text format.

LiteLLM's own callback counts per process and per key, with a hundred series that nobody reads; what is told here is the account
that requests are refused by. The counters bear the callback's names, because they count the same.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

from services.litellm.proxy.ledger import Account
from services.litellm.proxy.settings import ProxySettings

_MODES = ("normal", "eco", "blocked")
_Sample = tuple[dict[str, str], float]


class Usage:
    """What this process has answered, by model; a restart begins anew, as counters may."""

    def __init__(self) -> None:
        self._spent: Counter[str] = Counter()
        self._requests: Counter[str] = Counter()
        self._tokens: Counter[str] = Counter()

    def count(self, model: str, cost: float, tokens: int) -> None:
        """One answer."""
        self._requests[model] += 1
        self._tokens[model] += tokens
        self._spent[model] += cost  # type: ignore[assignment]  # typeshed knows counters of whole numbers alone

    def text(self, account: Account | None, settings: ProxySettings) -> str:
        """The page; without an account, Redis is away, and only what needs none is told."""
        return "".join((*self._counters(), *_account(account, settings)))

    def _counters(self) -> Iterator[str]:
        for name, what, counter in (
            ("litellm_spend_metric_total", "USD billed", self._spent),
            ("litellm_requests_metric_total", "Requests answered, from the cache too", self._requests),
            ("litellm_total_tokens_metric_total", "Tokens in and out", self._tokens),
        ):
            yield _family(name, "counter", what, [({"model": model}, value) for model, value in sorted(counter.items())])


def _account(account: Account | None, settings: ProxySettings) -> Iterator[str]:
    yield _family("litellm_budget_account_up", "gauge", "Whether Redis tells the account", [({}, account is not None)])
    yield _family("litellm_budget_limit_usd", "gauge", "The day's limit", [({}, settings.daily_limit)])
    limits = [({"provider": name}, limit) for name, limit in sorted(settings.monthly_limits.items())]
    yield _family("litellm_budget_month_limit_usd", "gauge", "The month's limit, apart from the day's", limits)
    if account is None:
        return
    yield _family("litellm_budget_spent_usd", "gauge", "Spent since the UTC day turned", [({}, account.spent)])
    modes = [({"mode": mode}, mode == account.mode) for mode in _MODES]
    yield _family("litellm_budget_mode", "gauge", "1 for the mode that is on", modes)
    spent = dict.fromkeys(settings.monthly_limits, 0.0) | dict(account.month)
    months = [({"provider": name}, amount) for name, amount in sorted(spent.items())]
    yield _family("litellm_budget_month_spent_usd", "gauge", "Spent since the UTC month turned", months)


def _family(name: str, kind: str, what: str, samples: Iterable[_Sample]) -> str:
    lines = [f"# HELP {name} {what}.", f"# TYPE {name} {kind}"]
    for labels, value in samples:
        shown = ",".join(f'{label}="{text}"' for label, text in labels.items())
        lines.append(f"{name}{{{shown}}} {float(value)!r}" if shown else f"{name} {float(value)!r}")
    return "\n".join(lines) + "\n"
