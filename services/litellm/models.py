"""The models behind LiteLLM, their prices, and the providers that serve and bill them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from model.problem import Problem
from model.secret import External, Secret

DAILY_LIMIT = 5.00
"""USD a UTC day, over all providers."""
ECO_SHARE = 0.9
TOLD_SHARES = (0.7, 0.9)
"""A Telegram message is sent when these shares of the day's limit are spent."""
MONTHLY_LIMITS = {"byteplus": 5.00}
"""USD a UTC month; what these providers bill does not count towards the day's limit."""
BRAVE_KEY = Secret(
    name="brave_search_api_key", source=External(obtain="api-dashboard.search.brave.com > API keys", optional=True)
)
BYTEPLUS_KEY = Secret(
    name="byteplus_api_key", source=External(obtain="BytePlus console > ModelArk > API key management", optional=True)
)


@dataclass(frozen=True, kw_only=True)
class Provider:
    """A provider that is paid. `name` is LiteLLM's prefix; `daily_budget` in USD (the specification's shares of DAILY_LIMIT)."""

    name: str
    key_variable: str
    obtain: str
    daily_budget: float

    @property
    def key(self) -> Secret:
        """The provider's API key."""
        return Secret(name=f"{self.name}_api_key", source=External(obtain=self.obtain))


@dataclass(frozen=True)
class Price:
    """USD per million tokens, and the source of the numbers."""

    input: float
    output: float
    source: str


def _map(version: str, key: str) -> str:
    return f"model_prices_and_context_window_backup.json of litellm {version} on PyPI, {key!r}, read 2026-11-22"


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model under the name that clients use; `target` is the provider's own name for it."""

    name: str
    provider: Provider
    target: str
    price: Price
    maximum_tokens: int
    """The most output tokens that one request can be billed for; none for embeddings."""
    context_tokens: int
    """Input and output tokens together: `max_input_tokens` of the file and key that the price is from."""
    fallbacks: tuple[str, ...] = ()
    eco: str = ""
    """The model that answers instead in eco mode; empty if this model stays available."""

    @property
    def goes_on_in_eco(self) -> bool:
        """Whether the model stays available in eco mode."""
        return not self.eco


ANTHROPIC = Provider(
    name="anthropic",
    key_variable="ANTHROPIC_API_KEY",
    obtain="Anthropic console > Settings > API keys",
    daily_budget=0.75,
)
OPENAI = Provider(name="openai", key_variable="OPENAI_API_KEY", obtain="OpenAI platform > API keys", daily_budget=0.50)
OPENROUTER = Provider(
    name="openrouter", key_variable="OPENROUTER_API_KEY", obtain="OpenRouter > Settings > Keys", daily_budget=3.25
)
GEMINI = Provider(name="gemini", key_variable="GEMINI_API_KEY", obtain="Google AI Studio > Get API key", daily_budget=0.25)

PROVIDERS = (ANTHROPIC, OPENAI, OPENROUTER, GEMINI)


QWEN, DEEPSEEK, GLM = ECO = ("qwen3-coder", "deepseek-v3", "glm-5")
"""The specification's eco models: they answer in every mode but blocked, also in place of all other models."""

FREE = Price(0.0, 0.0, "OpenRouter bills no model whose name ends with :free")


def _openrouter(name: str, target: str, price: Price, context_tokens: int, *fallbacks: str, eco: str = "") -> Model:
    return Model(
        name=name,
        provider=OPENROUTER,
        target=target,
        price=price,
        # OpenRouter reserves credit for the maximum: an uncapped request is refused with 402.
        maximum_tokens=4096,
        context_tokens=context_tokens,
        fallbacks=fallbacks,
        eco=eco,
    )


MODELS = (
    Model(
        name="claude-opus",
        provider=ANTHROPIC,
        target="claude-opus-4-20250514",
        price=Price(15.0, 75.0, _map("1.81.3", "claude-opus-4-20250514")),
        maximum_tokens=16384,
        context_tokens=200_000,
        fallbacks=("claude-sonnet", "gpt-codex"),
        eco=GLM,
    ),
    Model(
        name="claude-sonnet",
        provider=ANTHROPIC,
        target="claude-sonnet-4-20250514",
        price=Price(3.0, 15.0, _map("1.81.3", "claude-sonnet-4-20250514")),
        maximum_tokens=8192,
        # A million with a beta header of Anthropic's, which nothing here sends.
        context_tokens=200_000,
        fallbacks=("gpt-4o", "glm-5"),
        eco=GLM,
    ),
    Model(
        name="claude-haiku",
        provider=ANTHROPIC,
        target="claude-haiku-4-5-20251001",
        price=Price(1.0, 5.0, _map("1.81.3", "claude-haiku-4-5-20251001")),
        maximum_tokens=8192,
        context_tokens=200_000,
        eco=DEEPSEEK,
    ),
    Model(
        name="gpt-4o",
        provider=OPENAI,
        target="gpt-4o",
        price=Price(2.5, 10.0, _map("1.81.3", "gpt-4o")),
        maximum_tokens=16384,
        context_tokens=128_000,
        fallbacks=("claude-sonnet",),
        eco=GLM,
    ),
    Model(
        name="gpt-4o-mini",
        provider=OPENAI,
        target="gpt-4o-mini",
        price=Price(0.15, 0.6, _map("1.81.3", "gpt-4o-mini")),
        maximum_tokens=16384,
        context_tokens=128_000,
        fallbacks=("qwen3-coder",),
        eco=DEEPSEEK,
    ),
    Model(
        name="gpt-codex",
        provider=OPENAI,
        target="codex-mini-latest",
        price=Price(1.5, 6.0, _map("1.81.3", "codex-mini-latest")),
        # Its own maximum of 100000 would reserve 0.60 USD for each request.
        maximum_tokens=16384,
        context_tokens=200_000,
        fallbacks=("claude-sonnet", "glm-5"),
        eco=QWEN,
    ),
    # No eco model makes embeddings, and a request costs a ten-thousandth of a cent.
    Model(
        name="embedding",
        provider=OPENAI,
        target="text-embedding-3-small",
        price=Price(0.02, 0.0, _map("1.81.3", "text-embedding-3-small")),
        maximum_tokens=0,
        context_tokens=8191,
    ),
    Model(
        name="gemini-flash",
        provider=GEMINI,
        target="gemini-2.0-flash",
        price=Price(0.1, 0.4, _map("1.81.3", "gemini/gemini-2.0-flash")),
        maximum_tokens=8192,
        context_tokens=1_048_576,
        eco=DEEPSEEK,
    ),
    # Where LiteLLM knows no price of OpenRouter's, it is the price of who runs the model, which OpenRouter passes on.
    _openrouter(
        "kimi-k2",
        "moonshotai/kimi-k2",
        Price(0.6, 2.5, _map("1.81.3", "moonshot/kimi-k2-0711-preview")),
        131_072,
        *("glm-5", "deepseek-v3-free"),
        eco=DEEPSEEK,
    ),
    _openrouter(
        "minimax-m1",
        "minimax/minimax-m1",
        Price(0.55, 2.2, _map("1.81.3", "novita/minimaxai/minimax-m1-80k")),
        1_000_000,
        *("glm-5", "deepseek-v3-free"),
        eco=DEEPSEEK,
    ),
    _openrouter(
        "deepseek-r1",
        "deepseek/deepseek-r1",
        Price(0.55, 2.19, _map("1.81.3", "openrouter/deepseek/deepseek-r1")),
        65_336,
        *("deepseek-r1-free", "qwen3-coder"),
        eco=DEEPSEEK,
    ),
    _openrouter(
        "grok-search",
        "x-ai/grok-4.1-fast",
        Price(0.2, 0.5, _map("1.81.3", "xai/grok-4-1-fast")),
        2_000_000,
        *("perplexity-pro", "claude-haiku"),
        eco=DEEPSEEK,
    ),
    _openrouter(
        "perplexity-pro",
        "perplexity/sonar-pro",
        Price(3.0, 15.0, _map("1.81.3", "perplexity/sonar-pro")),
        200_000,
        *("grok-search", "claude-sonnet"),
        eco=GLM,
    ),
    # The eco models fall back only on one another and on free models: a fallback must not leave eco mode.
    _openrouter(
        DEEPSEEK,
        "deepseek/deepseek-chat",
        Price(0.14, 0.28, _map("1.81.3", "openrouter/deepseek/deepseek-chat")),
        65_536,
        *("deepseek-v3-free", "qwen3-coder"),
    ),
    _openrouter(
        GLM, "z-ai/glm-5", Price(0.8, 2.56, _map("1.82.6", "openrouter/z-ai/glm-5")), 202_752, *("deepseek-v3", "qwen3-coder")
    ),
    # The free models have the context of the paid ones of the same name: qwen3-coder by the key openrouter/qwen/qwen3-coder.
    # A free model never falls back on a paid one (the predecessor's did).
    _openrouter(QWEN, "qwen/qwen3-coder:free", FREE, 262_100, "deepseek-v3-free"),
    _openrouter("deepseek-v3-free", "deepseek/deepseek-chat:free", FREE, 65_536, "qwen3-coder"),
    _openrouter("deepseek-r1-free", "deepseek/deepseek-r1:free", FREE, 65_336, "qwen3-coder", "deepseek-v3-free"),
)


@dataclass(frozen=True, kw_only=True)
class Search:
    """A web search that LiteLLM offers as a tool; the price is in USD a request."""

    name: str
    provider: str
    price: float
    source: str


@dataclass(frozen=True, kw_only=True)
class Film:
    """A model for films, under its provider's own name; the price is in USD a million tokens."""

    name: str
    provider: str
    price: Price
    maximum_tokens: int


SEARCHES = (
    Search(
        name="brave-search",
        provider="brave",
        price=0.005,
        source="api-dashboard.search.brave.com/app/plans, read 2026-11-23: 5.00 per 1,000 requests",
    ),
)
FILMS = (
    Film(
        name="seedance-1-5-pro-251215",
        provider="byteplus",
        # Without sound it costs half: the higher price is counted.
        price=Price(0.0, 2.4, "docs.byteplus.com/api/docs/ModelArk/1544106, as doc-en.302.ai/344157192e0 repeats it"),
        # 12 seconds of 1080p: width x height x frames / 1024.
        maximum_tokens=1920 * 1080 * (24 * 12 + 1) // 1024,
    ),
)


def problems(models: Iterable[Model] = MODELS, providers: Iterable[Provider] = PROVIDERS) -> Iterator[Problem]:
    """Problems of models and budgets in combination."""
    known = {model.name: model for model in models}
    shares = sum(provider.daily_budget for provider in providers)
    if shares > DAILY_LIMIT:
        yield Problem(
            what=f"the providers' daily budgets add up to {shares:.2f} USD, {shares / DAILY_LIMIT:.1%} of DAILY_LIMIT",
            why="the day's limit would end providers that still have a budget of their own",
            fix="lower a daily_budget, or raise DAILY_LIMIT, in services/litellm/models.py",
            example="daily_budget=0.50",
        )
    for model in known.values():
        if model.eco and (model.eco not in ECO or model.eco not in known):
            yield Problem(
                what=f"{model.name} is mapped to {model.eco!r} in eco mode, which is none of {', '.join(ECO)}",
                why="in eco mode its requests would lead nowhere, or to a dear model",
                fix="name one of them, or add the model to ECO and MODELS",
                example=f'eco="{ECO[0]}"',
            )
        if missing := [name for name in model.fallbacks if name not in known]:
            yield Problem(
                what=f"{model.name} falls back on {', '.join(missing)}, which MODELS does not have",
                why="LiteLLM would answer with the first error instead",
                fix="name models of services/litellm/models.py",
                example=f'fallbacks=("{ECO[0]}",)',
            )
        leaving = [name for name in model.fallbacks if name in known and not known[name].goes_on_in_eco]
        if model.goes_on_in_eco and leaving:
            yield Problem(
                what=f"{model.name} answers in eco mode, but falls back on {', '.join(leaving)}, which does not",
                why="an error at its provider would end in a refusal although cheap models are there",
                fix="let it fall back on eco or free models alone",
                example=f'fallbacks=("{ECO[0]}",)',
            )
