"""The models behind LiteLLM and the providers that serve and bill them."""

from dataclasses import dataclass

from model.secret import External, Secret


@dataclass(frozen=True, kw_only=True)
class Provider:
    """Who is paid. `name` is LiteLLM's prefix; `daily_budget` in USD (the specification's shares of 5.00 a day)."""

    name: str
    key_variable: str
    obtain: str
    daily_budget: float

    @property
    def key(self) -> Secret:
        """The provider's API key."""
        return Secret(name=f"{self.name}_api_key", source=External(obtain=self.obtain))


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model under the name that clients use; `target` is the provider's own name for it."""

    name: str
    provider: Provider
    target: str
    maximum_tokens: int | None = None
    fallbacks: tuple[str, ...] = ()


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


def _openrouter(name: str, target: str, *fallbacks: str) -> Model:
    # OpenRouter reserves credit for the maximum: an uncapped request is refused with 402 (predecessor lesson 112).
    return Model(name=name, provider=OPENROUTER, target=target, maximum_tokens=4096, fallbacks=fallbacks)


MODELS = (
    Model(
        name="claude-opus",
        provider=ANTHROPIC,
        target="claude-opus-4-20250514",
        maximum_tokens=16384,
        fallbacks=("claude-sonnet", "gpt-codex"),
    ),
    Model(
        name="claude-sonnet",
        provider=ANTHROPIC,
        target="claude-sonnet-4-20250514",
        maximum_tokens=8192,
        fallbacks=("gpt-4o", "glm-5"),
    ),
    Model(name="claude-haiku", provider=ANTHROPIC, target="claude-haiku-4-5-20251001", maximum_tokens=8192),
    Model(name="gpt-4o", provider=OPENAI, target="gpt-4o", fallbacks=("claude-sonnet",)),
    Model(name="gpt-4o-mini", provider=OPENAI, target="gpt-4o-mini", fallbacks=("qwen3-coder",)),
    Model(name="gpt-codex", provider=OPENAI, target="codex-mini-latest", fallbacks=("claude-sonnet", "glm-5")),
    Model(name="embedding", provider=OPENAI, target="text-embedding-3-small"),
    Model(name="gemini-flash", provider=GEMINI, target="gemini-2.0-flash"),
    _openrouter("kimi-k2", "moonshotai/kimi-k2", "glm-5", "deepseek-v3-free"),
    _openrouter("minimax-m1", "minimax/minimax-m1", "glm-5", "deepseek-v3-free"),
    _openrouter("deepseek-r1", "deepseek/deepseek-r1", "deepseek-r1-free", "qwen3-coder"),
    _openrouter("deepseek-v3", "deepseek/deepseek-chat", "deepseek-v3-free", "qwen3-coder"),
    _openrouter("glm-5", "z-ai/glm-5", "deepseek-v3-free", "qwen3-coder"),
    _openrouter("grok-search", "x-ai/grok-4.1-fast", "perplexity-pro", "claude-haiku"),
    _openrouter("perplexity-pro", "perplexity/sonar-pro", "grok-search", "claude-sonnet"),
    # A free model never falls back on a paid one (the predecessor's did).
    _openrouter("qwen3-coder", "qwen/qwen3-coder:free", "deepseek-v3-free"),
    _openrouter("deepseek-v3-free", "deepseek/deepseek-chat:free", "qwen3-coder"),
    _openrouter("deepseek-r1-free", "deepseek/deepseek-r1:free", "qwen3-coder", "deepseek-v3-free"),
)
