"""The real n8n: its owner, its key, and each workflow with its effect on other services."""

import hashlib
import hmac
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from lab.providers.models import ANSWER
from services.n8n.workflows import workflows
from services.webhook_gate import CALLS_PATHS
from tests.lab.deployment import Deployment
from tests.support.fleets import context
from tests.support.waiting import until

N8N = "https://mayi.vpai.test"
OWNER = "owner@vpai.test"
UNSIGNED = "sha256=" + "0" * 64
_COOKIES = "/tmp/n8n-cookies"


class Bench:
    """n8n as a client in the mesh sees it, and the calls that others got from it."""

    def __init__(self, stack: Deployment) -> None:
        self._stack = stack

    def post(self, path: str, document: object, **headers: str) -> tuple[int, Any]:
        """Status and JSON of a POST."""
        lines = "".join(f"{name.replace('_', '-')}: {value}\n" for name, value in headers.items())
        self._operator("sh", "-c", "cat > /tmp/n8n-headers", input=f"Content-Type: application/json\n{lines}")
        data = json.dumps(document)
        return self._asked("-H", "@/tmp/n8n-headers", "--data-binary", "@-", f"{N8N}{path}", input=data)

    def call(self, workflow: str, document: object) -> tuple[int, Any]:
        """A signed call of a workflow."""
        key = self._stack.secrets["n8n_webhook_secret"].encode()
        signature = hmac.new(key, json.dumps(document).encode(), hashlib.sha256).hexdigest()
        return self.post(f"/webhook/{workflow}", document, X_Signature_256=f"sha256={signature}")

    def get(self, path: str) -> Any:
        """n8n's answer to its owner."""
        status, document = self._asked(f"{N8N}{path}")
        assert status == 200, document
        return document["data"]

    def log_in(self, **fields: str) -> int:
        """The status of a login. n8n answers five a minute, and deployments log in too: a 429 is retried after 15 s."""
        for _ in range(6):
            status, _said = self.post("/rest/login", {"emailOrLdapLoginId": OWNER, **fields})
            if status != 429:
                return status
            time.sleep(15.0)
        raise AssertionError("n8n answers no login for more than a minute")

    def messages(self) -> list[str]:
        """The monitoring bot's messages so far."""
        shown = self._operator("curl", "-sS", "--cacert", ".lab/ca/root.crt", "https://api.telegram.org/__lab/messages")
        return [message["text"] for message in json.loads(shown)]

    def versions(self) -> Mapping[str, str]:
        """The published version of each of our workflows, all of them current."""
        query = 'SELECT id, "versionId", "activeVersionId" FROM workflow_entity WHERE id LIKE \'vpai-%\' AND active'
        rows = [row.split("|") for row in self._stack.sql("n8n", query).splitlines()]
        assert all(current == published for _, current, published in rows)
        return {name: published for name, _, published in rows}

    def restart(self, service: str) -> None:
        """Restart a service's container and wait until it is healthy."""
        container = self._stack.container(service)
        self._stack.on_host("docker", "restart", container)
        health = ("docker", "inspect", "--format", "{{.State.Health.Status}}", container)
        until(lambda: self._stack.on_host(*health) == "healthy", 120, every=1.0)
        if service == "n8n":
            # n8n is healthy while it still answers 404 or asks to wait.
            settings = ("curl", "-sS", "--max-time", "10", "--cacert", ".lab/ca/root.crt", f"{N8N}/rest/settings")
            until(lambda: "userManagement" in self._operator(*settings), 120, every=1.0)

    def unsigned(self, path: str, *words: str) -> int:
        """The status of a call without a signature or with a wrong one; `words` are curl's."""
        return self._asked("-X", "POST", *words, f"{N8N}{path}")[0]

    def executions(self) -> str:
        """n8n's stored executions, with files of forms."""
        files = self._stack.on_host(
            "docker", "exec", self._stack.container("n8n"), "sh", "-c", "ls /tmp /home/node/.n8n/binaryData 2>/dev/null || true"
        )
        return f"{self._stack.sql('n8n', 'SELECT count(*) FROM execution_entity')} {files}"

    def _asked(self, *words: str, input: str = "") -> tuple[int, Any]:
        curl = ("curl", "-sS", "--max-time", "60", "--cacert", ".lab/ca/root.crt", "-b", _COOKIES, "-c", _COOKIES)
        *body, status = self._operator(*curl, "-w", "\n%{http_code}", *words, input=input).splitlines()
        text = "\n".join(body)
        try:
            return int(status), json.loads(text or "null")
        except ValueError:
            return int(status), text

    def _operator(self, *words: str, input: str = "") -> str:
        done = self._stack.lab.operator.run(list(words), directory=str(self._stack.directory), input=input)
        return done.stdout


@pytest.fixture
def bench(deployed: Deployment) -> Iterator[Bench]:
    yield Bench(deployed)


def test_the_owner_is_made_once_and_nobody_else_gets_in(deployed: Deployment, bench: Bench) -> None:
    assert bench.log_in(password=deployed.secrets["n8n_owner_password"] + "x") == 401
    assert bench.log_in() == 400
    assert bench.log_in(password=deployed.secrets["n8n_owner_password"]) == 200
    usurper = {"email": "somebody@vpai.test", "firstName": "Some", "lastName": "Body", "password": "N8n-somebody-123"}
    assert bench.post("/rest/owner/setup", usurper)[0] == 400
    assert deployed.sql("n8n", 'SELECT email FROM "user" WHERE password IS NOT NULL') == OWNER


_FORM = ("-F", "text=hello", "-F", "file=@.lab/ca/root.crt")
_SIGNED = ("-H", f"X-Signature-256: {UNSIGNED}")


def test_who_does_not_sign_is_refused_whatever_is_sent_and_leaves_nothing_behind(bench: Bench) -> None:
    before = bench.executions()
    plain = [
        (),
        _FORM,
        *(("-H", f"Content-Type: {kind}", "-d", '{"text": "x"}') for kind in ("application/json", "image/png", "text/xml")),
    ]
    large = ("-H", "Content-Type: application/json", "--data-binary", "@/usr/bin/git")
    for workflow in workflows(context()):
        path = f"/webhook/{workflow.name}"
        statuses = {bench.unsigned(path, *words) for words in plain}
        assert statuses == {401}, path
        assert {bench.unsigned(f"{path}/", *words) for words in plain} == {401}
        assert bench.unsigned(path, *large) == 401
    assert {bench.unsigned(path, *_SIGNED, *_FORM) for path in CALLS_PATHS} == {401}
    assert bench.executions() == before


@pytest.mark.parametrize("body", [None, [], {}, "text", {"text": ""}, {"text": ["x"]}])
def test_a_wrong_input_is_answered_with_what_is_wrong_and_asks_no_model(bench: Bench, body: object) -> None:
    status, said = bench.call("summarize", body)
    assert status == 400 and '{"text":"..."}' in said["error"], said


def test_an_agent_is_asked_and_its_callback_is_told_on_telegram(bench: Bench) -> None:
    before = len(bench.messages())
    status, said = bench.call("ask-agent", {"agent": "builder", "message": f"count to three {time.time_ns()}"})
    assert status == 202 and said["run"], said
    until(lambda: f"builder: {ANSWER}" in bench.messages()[before:], 90, every=1.0)


def test_an_agent_that_is_none_is_never_asked(bench: Bench) -> None:
    status, said = bench.call("ask-agent", {"agent": "somebody", "message": "hello"})
    assert status == 400 and '"agent" is none of concierge' in said["error"], said


def test_a_text_is_summarized_by_a_model_behind_litellm(bench: Bench) -> None:
    status, said = bench.call("summarize", {"text": f"A long story {time.time_ns()}"})
    assert (status, said) == (200, {"summary": ANSWER})


def test_the_report_tells_what_does_not_answer(deployed: Deployment, bench: Bench) -> None:
    def reported() -> str:
        before = len(bench.messages())
        assert bench.call("health-report", {})[0] == 202
        until(lambda: len(bench.messages()) > before, 60, every=1.0)
        return bench.messages()[-1]

    assert reported() == "What the workflows need:\nLiteLLM: well\nOpenClaw: well\nNocoDB: well"
    deployed.on_host("docker", "stop", deployed.container("nocodb"))
    try:
        assert reported().endswith("NocoDB: no answer")
    finally:
        deployed.on_host("docker", "start", deployed.container("nocodb"))


def test_what_is_encrypted_can_be_read_after_a_restart(deployed: Deployment, bench: Bench) -> None:
    assert bench.log_in(password=deployed.secrets["n8n_owner_password"]) == 200
    secret = {"name": "kept", "type": "httpHeaderAuth", "data": {"name": "X-Kept", "value": "nobody reads this"}}
    status, credential = bench.post("/rest/credentials", secret)
    assert status == 200, credential
    identity = credential["data"]["id"]
    stored = deployed.sql("n8n", f"SELECT data FROM credentials_entity WHERE id = '{identity}'")
    assert stored and "X-Kept" not in stored
    bench.restart("n8n")
    assert bench.get(f"/rest/credentials/{identity}?includeData=true")["data"]["name"] == "X-Kept"
    settings = deployed.on_host("docker", "exec", deployed.container("n8n"), "cat", "/home/node/.n8n/config")
    assert json.loads(settings)["encryptionKey"] == deployed.secrets["n8n_encryption_key"]


def test_a_changed_workflow_is_imported_and_no_other(stack: Deployment, bench: Bench) -> None:
    before = bench.versions()
    assert set(before) == {f"vpai-{workflow.name}" for workflow in workflows(context())}
    assert stack.changes() == {}
    stack.edit("services/n8n/workflows.py", ("at most three sentences", "at most two sentences"))
    # A restore imports the workflows again.
    assert stack.changes() == {"sese-n8n-workflows": "update", "sese-backup-plan": "update"}
    stack.up()
    after = bench.versions()
    assert {name for name in after if after[name] != before[name]} == {"vpai-summarize"}
    assert stack.changes() == {}
