"""LiteLLM's budget with real amounts: the stand-in of the provider bills fixed tokens, and the daily limit is lowered to match.

A request to claude-opus costs 0.00078 USD here (12 tokens in, 8 out), one to glm-5 0.00003.
"""

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pytest

from lab.providers.models import ANSWER
from services.litellm.proxy.admission import Verdict, verdict
from tests.lab.deployment import Deployment
from tests.support.waiting import until

LIMIT = 0.004
OPUS, GLM = 0.00078, 0.00003008
RUN = time.time_ns()
DATE_FILE = "/tmp/budget-date"
KEY_FILE = "/tmp/budget-key"
FILM = 108_900 * 2.4e-6
_DIGEST = (
    '{"status": %{http_code}, "seconds": %{time_total},'
    ' "retry": "%header{retry-after}", "model": "%header{x-litellm-model-group}"}'
)
_LLM = "https://llm.vpai.test"
_PROVIDERS = "https://api.openai.com"


@dataclass(frozen=True)
class Reply:
    """LiteLLM's answer, and the model that gave it."""

    status: int
    model: str
    retry_after: int
    seconds: float
    body: Mapping[str, Any]


class Bench:
    """LiteLLM with a small budget, the providers' log, Telegram's messages, and the account in Redis."""

    def __init__(self, stack: Deployment) -> None:
        self._stack = stack
        self._password = stack.secrets["redis_litellm_password"]
        self._date = date(2031, 1, 1)
        key = f"Authorization: Bearer {stack.secrets['litellm_master_key']}"
        stack.lab.operator.run(["sh", "-c", f"umask 077; cat > {KEY_FILE}"], input=key)

    def new_day(self, days: int = 1) -> None:
        """Begin a new UTC day: nothing is spent, no message was sent."""
        self._date += timedelta(days)
        self.litellm("sh", "-c", f"echo {self._date} > {DATE_FILE}")
        self._curl("-X", "DELETE", "https://api.telegram.org/__lab/messages")
        self.calls()

    def ask(self, model: str, text: str, **more: object) -> Reply:
        """A chat request through Caddy; its cost is booked when this returns."""
        return self.request("POST", "/v1/chat/completions", _request(model, text, **more))

    def request(self, method: str, path: str, body: object = None, *, booked: bool = True) -> Reply:
        """A request through Caddy; with `booked`, its cost is booked when this returns."""
        data = ("-H", "Content-Type: application/json", "-d", json.dumps(body)) if body else ()
        *text, digest = self._curl("-w", f"\n{_DIGEST}", "-X", method, *data, f"{_LLM}{path}").splitlines()
        seen = json.loads(digest)
        if booked:
            self.settle()
        return Reply(seen["status"], seen["model"], int(seen["retry"] or 0), seen["seconds"], json.loads("".join(text)))

    @property
    def container(self) -> str:
        """Id of LiteLLM's container."""
        return self._stack.container("litellm")

    def on_host(self, *words: str, input: str = "") -> str:
        """The output of `words` on the stack's host."""
        return self._stack.on_host(*words, input=input)

    def status_without_a_key(self, path: str) -> int:
        words = ("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", ".lab/ca/root.crt", f"{_LLM}{path}")
        return int(self._operator(*words))

    def settle(self, seconds: float = 8.0) -> None:
        """Wait until no amount is reserved: LiteLLM books in the background."""
        for _ in range(int(5 * seconds)):
            if self.redis("HLEN", "litellm:budget:reserved") == "0":
                return
            time.sleep(0.2)
        raise AssertionError(f"still reserved: {self.redis('HGETALL', 'litellm:budget:reserved')}")

    def spend(self, amount: float) -> None:
        """Book an amount for somebody else on this day. The day must have begun: its first request clears the account."""
        assert self.metrics["litellm_budget_account_up"] == 1.0
        self.redis("HINCRBYFLOAT", "litellm:budget:day", "spent", str(amount))

    def ask_at_once(self, model: str, count: int) -> Counter[int]:
        """Statuses of `count` different parallel requests."""
        body = json.dumps(_request(model, "at once NUMBER", cache={"no-cache": True}))
        script = (
            f"seq {count} | xargs -P {count} -I NUMBER curl -s -o /dev/null -w '%{{http_code}}\\n' --max-time 90 "
            f"--cacert .lab/ca/root.crt -H @{KEY_FILE} -H 'Content-Type: application/json' "
            f"-d '{body}' {_LLM}/v1/chat/completions"
        )
        statuses = self._operator("sh", "-c", script).split()
        self.settle()
        return Counter(map(int, statuses))

    def calls(self) -> list[str]:
        """Models that providers were asked for since the last call, or the provider's name; without embeddings."""
        seen = json.loads(self._curl("-X", "DELETE", f"{_PROVIDERS}/__lab/requests"))
        asked = [call["model"] or call["host"] for call in seen if "telegram" not in call["host"]]
        return [name for name in asked if "embedding" not in name]

    def calm(self) -> None:
        """Wait until no provider gets a request for four seconds: LiteLLM retries others for a client that has left."""

        def quiet() -> bool:
            self.calls()
            time.sleep(4.0)
            return self.calls() == []

        until(quiet, 60)

    def messages(self) -> list[str]:
        """The monitoring bot's messages about LiteLLM on this day; other programs use the same bot."""
        reported = [message["text"] for message in json.loads(self._curl("https://api.telegram.org/__lab/messages"))]
        return [text for text in reported if text.startswith("LiteLLM")]

    def trouble(self, **hosts: Mapping[str, float]) -> None:
        """Make providers fail; names have underscores for dots. Without arguments none fails."""
        troubles = {host.replace("_", "."): trouble for host, trouble in hosts.items()}
        heard = self._curl(
            *("-X", "PUT", "-H", "Content-Type: application/json", "-d", json.dumps(troubles)),
            f"{_PROVIDERS}/__lab/troubles",
        )
        assert set(json.loads(heard)) == set(troubles)

    def redis(self, *words: str) -> str:
        command = f'REDISCLI_AUTH="$(cat)" exec redis-cli --user litellm {" ".join(words)}'
        container = self._stack.container("redis")
        return self._stack.on_host("docker", "exec", "-i", container, "sh", "-c", command, input=self._password)

    @property
    def spent(self) -> float:
        return float(self.redis("HGET", "litellm:budget:day", "spent") or 0.0)

    @property
    def metrics(self) -> Mapping[str, float]:
        """All series of LiteLLM's budget metrics."""
        lines = self._curl(f"{_LLM}/budget/metrics").splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))}

    @property
    def mode(self) -> str:
        return self.redis("GET", "litellm:budget:mode")

    def litellm(self, *words: str) -> str:
        return self._stack.on_host("docker", "exec", self._stack.container("litellm"), *words)

    def restart(self, *services: str) -> None:
        """Stop and start the services' containers, and wait until LiteLLM answers again."""
        self._stack.on_host("docker", "restart", *map(self._stack.container, services))
        for _ in range(60):
            if self._curl("-o", "/dev/null", "-w", "%{http_code}", f"{_LLM}/v1/models", check=False) == "200":
                return
            time.sleep(0.5)
        raise AssertionError(f"LiteLLM does not answer after a restart of {', '.join(services)}")

    def leave(self, path: str, body: object) -> None:
        """Send a request and close the connection after a second."""
        words = ("--max-time", "1", "-N", "-H", "Content-Type: application/json", "-d", json.dumps(body), f"{_LLM}{path}")
        self._curl(*words, check=False)

    def python(self, script: str, *words: str) -> str:
        """The output of a script in the operator's Python, with the packages of requirements.txt."""
        environment = {"SSL_CERT_FILE": ".lab/ca/root.crt"}
        run = self._stack.lab.operator.run
        directory = str(self._stack.directory)
        return run(["vpai-python", "-", *words], input=script, environment=environment, directory=directory, timeout=200).stdout

    def _curl(self, *words: str, check: bool = True) -> str:
        certificate = ("--cacert", ".lab/ca/root.crt", "-H", f"@{KEY_FILE}") if _LLM in words[-1] else ()
        return self._operator("curl", "-s", "--max-time", "90", *certificate, *words, check=check)

    def _operator(self, *words: str, check: bool = True) -> str:
        done = self._stack.lab.operator.run(list(words), directory=str(self._stack.directory), check=check, timeout=200)
        return done.stdout


def _request(model: str, text: str, **more: object) -> dict[str, object]:
    # Unique for this run: the answers of the last run are still cached.
    messages = [{"role": "system", "content": f"run {RUN}"}, {"role": "user", "content": text}]
    return {"model": model, "messages": messages, **more}


@pytest.fixture(scope="module")
def bench(_deployment: Deployment) -> Iterator[Bench]:
    stack = _deployment
    stack.edit("services/litellm/models.py", ("daily_budget=0.25", "daily_budget=0.000001"))
    stack.edit(
        "services/litellm/configuration.py",
        ("daily_limit=models.DAILY_LIMIT", f"daily_limit={LIMIT}"),
        ("monthly_limits=models.MONTHLY_LIMITS", f'monthly_limits={{"byteplus": {1.5 * FILM}}}'),
        ('date_file=""', f'date_file="{DATE_FILE}"'),
    )
    bench = Bench(stack)
    # The spend that an earlier run left with the provider lasts for a day; LiteLLM reads it at its start.
    bench.redis("DEL", "provider_spend:gemini:1d", "provider_budget_start_time:gemini")
    stack.up()
    yield bench
    bench.trouble()
    stack.reset()
    stack.up()


@pytest.fixture(autouse=True)
def _day(bench: Bench) -> None:
    bench.trouble()
    bench.new_day()


def test_a_day_from_normal_over_eco_to_blocked_and_the_next_day(bench: Bench) -> None:
    for number in range(4):
        assert bench.ask("claude-opus", f"morning {number}").model == "claude-opus"
    assert bench.spent == pytest.approx(4 * OPUS, rel=0.01)
    assert [text[:12] for text in bench.messages()] == ["LiteLLM: 70%"]
    assert bench.mode == "normal"

    assert bench.ask("claude-opus", "noon").model == "claude-opus"
    assert [text[:12] for text in bench.messages()] == ["LiteLLM: 70%", "LiteLLM: 90%"]
    assert bench.mode == "eco"

    bench.calls()
    for model in ("claude-opus", "gpt-4o", "glm-5"):
        assert bench.ask(model, f"afternoon of {model}").model == "glm-5"
    assert set(bench.calls()) == {"z-ai/glm-5"}

    while (spent := bench.spent) < LIMIT:
        assert bench.ask("glm-5", f"evening at {spent}").status == 200
        assert bench.spent > spent
    assert bench.mode == "blocked"
    reported = bench.metrics
    assert reported["litellm_budget_spent_usd"] == pytest.approx(bench.spent)
    assert reported['litellm_budget_mode{mode="blocked"}'] == 1.0
    assert reported['litellm_spend_metric_total{model="claude-opus"}'] >= 5 * OPUS * 0.99
    bench.calls()
    for model in ("claude-opus", "glm-5", "qwen3-coder"):
        refused = bench.ask(model, "night")
        assert refused.status == 429
        assert 0 < refused.retry_after <= 86400
        assert "until the UTC day turns" in refused.body["error"]["message"]
    assert bench.ask("claude-opus", "morning 0").status == 200, "cached"
    assert bench.calls() == []
    assert len(bench.messages()) == 2

    bench.new_day()
    assert bench.ask("claude-opus", "another morning").model == "claude-opus"
    assert bench.mode == "normal"
    assert bench.spent == pytest.approx(OPUS, rel=0.01)


def test_twenty_requests_at_once_overshoot_by_less_than_one(bench: Bench) -> None:
    bench.spend(LIMIT - 2 * GLM)
    bench.trouble(openrouter_ai={"seconds": 0.5})
    answered = bench.ask_at_once("claude-opus", 20)
    assert set(answered) == {200, 429}
    assert bench.spent < LIMIT + GLM


def test_fallbacks_on_errors_stay_in_eco_once_it_is_on(bench: Bench) -> None:
    bench.trouble(api_anthropic_com={"status": 500})
    assert bench.ask("claude-sonnet", "who answers?").model in {"gpt-4o", "glm-5"}
    bench.trouble()
    bench.spend(0.9 * LIMIT)
    bench.calls()
    bench.trouble(openrouter_ai={"status": 500})
    failed = bench.ask("claude-opus", "and now?", fallbacks=["gpt-4o"], num_retries=0)
    assert failed.status == 500, "the provider's own fault, not a refusal of the budget's"
    asked = set(bench.calls())
    assert "z-ai/glm-5" in asked
    assert asked <= {"z-ai/glm-5", "deepseek/deepseek-chat", "deepseek/deepseek-chat:free", "qwen/qwen3-coder:free"}


def test_a_provider_over_its_budget_is_skipped_while_others_answer(bench: Bench) -> None:
    assert bench.ask("gemini-flash", "the first", cache={"no-cache": True}).status == 200
    time.sleep(2.0)  # LiteLLM writes its providers' spend once a second.
    refused = bench.ask("gemini-flash", "the second", cache={"no-cache": True})
    assert refused.status == 429
    assert "crossed budget" in refused.body["error"]["message"]
    assert bench.ask("gpt-4o-mini", "and another provider?").status == 200


def test_an_equal_question_is_answered_without_a_provider(bench: Bench) -> None:
    first = bench.ask("claude-haiku", "what is the capital of France?")
    spent = bench.spent
    assert len(bench.calls()) <= 1
    assert bench.ask("claude-haiku", "what is the capital of France?").body["id"] == first.body["id"]
    assert bench.calls() == []
    assert bench.spent == spent


def test_a_similar_question_too_but_not_another_one(bench: Bench) -> None:
    similar = {"cache": {"similar": True}}
    bench.ask("claude-haiku", "please tell me where the old town of Ghent is", **similar)
    bench.calls()
    assert bench.ask("claude-haiku", "please tell me where is the old town of Ghent", **similar).status == 200
    assert bench.calls() == []
    bench.ask("claude-haiku", "how many legs has a spider", **similar)
    assert len(bench.calls()) == 1


def test_who_does_not_ask_for_a_similar_answer_gets_none(bench: Bench) -> None:
    bench.ask("claude-haiku", "please tell me where the old town of Bruges is", cache={"similar": True})
    bench.calls()
    assert bench.ask("claude-haiku", "please tell me where is the old town of Bruges").status == 200
    assert len(bench.calls()) == 1


def test_a_search_is_counted_and_refused_when_the_day_is_spent(bench: Bench) -> None:
    found = bench.request("POST", "/v1/search/brave-search", {"query": "where is Ghent?"})
    assert found.status == 200
    assert found.body["results"][0]["url"] == "https://example.test/"
    assert bench.calls() == ["api.search.brave.com"]
    assert bench.spent == pytest.approx(0.005)
    refused = bench.request("POST", "/v1/search/brave-search", {"query": "and where is Bruges?"})
    assert refused.status == 429
    assert refused.retry_after > 0
    assert bench.calls() == []


def test_films_are_billed_to_a_month_of_their_own(bench: Bench) -> None:
    path = "/byteplus/api/v3/contents/generations/tasks"
    film = {"model": "seedance-1-5-pro-251215", "resolution": "720p", "duration": 5, "content": [{"type": "text", "text": "sea"}]}
    bench.new_day(31)
    replies = [bench.request("POST", path, film, booked=False) for _ in range(3)]
    assert [reply.status for reply in replies] == [200, 200, 429]
    assert "a month for byteplus" in replies[2].body["error"]["message"]
    assert replies[2].retry_after > 86400
    for reply in replies[:2] * 2:
        assert bench.request("GET", f"{path}/{reply.body['id']}", booked=False).body["status"] == "succeeded"
    assert bench.redis("HLEN", "litellm:budget:reserved") == "0"
    assert bench.metrics['litellm_budget_month_spent_usd{provider="byteplus"}'] == pytest.approx(2 * FILM)
    assert bench.spent == 0.0
    bench.new_day(31)
    assert bench.request("POST", path, film, booked=False).status == 200
    assert bench.status_without_a_key(f"{path}/x") == 401
    bench.redis("DEL", "litellm:budget:reserved")


def test_the_account_survives_restarts(bench: Bench) -> None:
    bench.ask("claude-opus", "before the restarts")
    spent = bench.spent
    assert spent == pytest.approx(OPUS, rel=0.01)
    bench.restart("redis", "litellm")
    assert bench.spent == spent


def test_without_redis_eco_models_answer_at_once(bench: Bench, _deployment: Deployment) -> None:
    bench.ask("claude-opus", "with Redis")
    redis = _deployment.container("redis")
    _deployment.on_host("docker", "stop", redis)
    try:
        for number in range(4):
            body = _request("claude-opus", f"without Redis {number}")
            answered = bench.request("POST", "/v1/chat/completions", body, booked=False)
            assert answered.model == "glm-5"
            assert answered.seconds < 4.0
        assert bench.metrics["litellm_budget_account_up"] == 0.0
    finally:
        _deployment.on_host("docker", "start", redis)
    for _ in range(20):
        if bench.metrics["litellm_budget_account_up"]:
            break
        time.sleep(0.5)
    assert bench.ask("claude-opus", "with Redis again").model == "claude-opus"
    assert bench.spent == pytest.approx(2 * OPUS + 4 * GLM, rel=0.01)


_ROUTES = """
import json
from litellm.proxy.proxy_server import app
print("\\n" + json.dumps(sorted(f"{method.upper()} {path}" for path, of in app.openapi()["paths"].items() for method in of)))
"""
COUNTED = {
    *(
        f"POST {version}/{name}"
        for version in ("", "/v1")
        for name in ("chat/completions", "completions", "embeddings", "responses")
    ),
    *(f"POST {version}/search/{{search_tool_name}}" for version in ("", "/v1")),
    "POST /v1/messages",
}
FREE = {
    *("", ".well-known", "access_group", "active", "audit", "budget", "customer", "get", "global", "health", "in_product_nudges"),
    *(
        "key",
        "litellm",
        "model",
        "model_group",
        "models",
        "organization",
        "provider",
        "public",
        "robots.txt",
        "routes",
        "settings",
    ),
    *("spend", "sso", "tag", "team", "user", "v1", "v2"),
}
"""First path parts of the unbilled routes in LiteLLM 1.81.3's table."""


def test_every_route_of_the_real_litellm_is_counted_free_or_closed(bench: Bench) -> None:
    shell = "cd /app && set -a && . /app/configuration/environment && exec python3 -W ignore -"
    litellm = bench.container
    table = json.loads(bench.on_host("docker", "exec", "-i", litellm, "sh", "-c", shell, input=_ROUTES).splitlines()[-1])
    verdicts = {route: verdict(*route.split(" ", 1)) for route in table}
    assert len(table) > 400
    assert {route for route, found in verdicts.items() if found is Verdict.COUNTED} == COUNTED
    free = {route.split("/")[1] for route, found in verdicts.items() if found is Verdict.FREE}
    assert free == FREE, "a new version serves more: decide whether it is billed"
    bench.calls()
    for path in ("/health", "/v1/images/generations", "/v1/batches", "/anthropic/v1/messages", "/cache/ping"):
        for method in ("GET", "POST"):
            assert bench.request(method, path, {} if method == "POST" else None, booked=False).status == 403, path
    assert bench.calls() == []


def test_claude_codes_own_metadata_passes_no_spent_budget(bench: Bench) -> None:
    bench.spend(1.1 * LIMIT)
    for metadata in ({"user_id": "claude-code"}, {}, {"model_group": "embedding"}, {"vpai_admission": {"model": "claude-opus"}}):
        said = [{"role": "user", "content": f"run {RUN} as Claude Code {metadata}"}]
        body = {"model": "claude-opus", "messages": said, "max_tokens": 100, "metadata": metadata}
        bench.calls()
        refused = bench.request("POST", "/v1/messages", body)
        assert refused.status == 429, metadata
        assert bench.calls() == []


@pytest.mark.parametrize("number", ["auto", 0, 1.5])
def test_a_number_that_is_none_is_a_bad_request(bench: Bench, number: object) -> None:
    assert bench.ask("claude-opus", "how long?", max_tokens=number).status == 400
    assert bench.calls() == []


def test_no_limit_is_the_models_own(bench: Bench) -> None:
    assert bench.ask("claude-opus", "as long as you like", max_tokens=-1).status == 200


def test_a_client_that_leaves_before_its_answer_leaves_no_reservation(bench: Bench) -> None:
    said = [{"role": "user", "content": f"run {RUN}: nobody waits for this"}]
    bench.trouble(api_openai_com={"seconds": 3}, api_anthropic_com={"seconds": 3})
    for stream in (True, False):
        bench.leave(
            "/v1/responses", {"model": "gpt-4o", "input": f"run {RUN}: {stream}", "stream": stream, "max_output_tokens": 20}
        )
        bench.leave("/v1/messages", {"model": "claude-opus", "messages": said, "max_tokens": 20, "stream": stream})
        bench.leave("/v1/chat/completions", {"model": "gpt-4o", "messages": said, "stream": stream, "max_tokens": 20})
    bench.settle(20.0)
    assert bench.spent < LIMIT, "what a client did not wait for is booked as what it may have cost, and not as the worst"
    bench.calm()


_CLIENTS = """
import json, ssl, sys
import anthropic, openai
key, text, base = open(sys.argv[1]).read().strip().removeprefix("Authorization: Bearer "), sys.argv[2], sys.argv[3]
said = [{"role": "user", "content": text + " 1"}]
told = {}
try:
    client = openai.OpenAI(api_key=key, base_url=f"{base}/v1", max_retries=0, timeout=60)
    with client.chat.completions.create(
        model="claude-opus", messages=said, stream=True, stream_options={"include_usage": True}, max_completion_tokens=50
    ) as stream:
        parts = list(stream)
    words = "".join(choice.delta.content or "" for part in parts for choice in part.choices)
    tokens = [part.usage.completion_tokens for part in parts if part.usage]
    told["openai"] = {"text": words, "tokens": tokens, "parts": len(parts)}
except openai.APIStatusError as error:
    told["openai"] = {"refused": type(error).__name__, "retry": error.response.headers.get("retry-after"), "why": str(error)}
try:
    client = anthropic.Anthropic(api_key=key, base_url=base, max_retries=0, timeout=60)
    # As Claude Code calls it.
    with client.messages.stream(
        model="claude-opus", messages=[{**said[0], "content": text + " 2"}], max_tokens=50, metadata={"user_id": "claude-code"}
    ) as stream:
        kinds = [event.type for event in stream]
        whole = stream.get_final_message()
    told["anthropic"] = {
        "text": "".join(block.text for block in whole.content if block.type == "text"),
        "tokens": [whole.usage.output_tokens], "parts": len(kinds), "stop": whole.stop_reason,
    }
except anthropic.APIStatusError as error:
    told["anthropic"] = {"refused": type(error).__name__, "retry": error.response.headers.get("retry-after"), "why": str(error)}
print(json.dumps(told))
"""
"""Common clients, from PyPI: each streams one answer, or reports how it was refused."""


def test_openais_and_anthropics_own_clients_stream_in_every_mode_of_the_budget(bench: Bench) -> None:
    def streamed(text: str) -> Mapping[str, Any]:
        before = bench.spent
        reported: Mapping[str, Any] = json.loads(bench.python(_CLIENTS, KEY_FILE, f"run {RUN}: {text}", _LLM))
        bench.settle()
        # A refused request costs the embedding for the cache lookup: 1/300 of the cheapest answer.
        assert (bench.spent - before > GLM) == ("text" in reported["openai"])
        return reported

    for mode, spent, models in (("normal", 0.0, {"claude-opus"}), ("eco", 0.92 * LIMIT, {"z-ai/glm-5"})):
        bench.new_day()
        bench.spend(spent)
        reported = streamed(f"in {mode}")
        assert {said["text"] for said in reported.values()} == {ANSWER}
        assert all(said["tokens"][0] > 0 for said in reported.values())
        assert reported["anthropic"]["stop"] == "end_turn" and all(said["parts"] > 2 for said in reported.values())
        assert len(asked := bench.calls()) == 2 and all(any(model in name for model in models) for name in asked), asked
    bench.spend(LIMIT)
    refused = streamed("and now?")
    for said in (refused["openai"], refused["anthropic"]):
        assert said["refused"] == "RateLimitError" and 0 < int(said["retry"]) <= 86400
        assert "until the UTC day turns" in said["why"]
    assert bench.calls() == []
