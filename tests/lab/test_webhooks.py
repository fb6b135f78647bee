"""Requests from the Internet to hook.<domain>: through hub, mesh and gate they reach n8n unchanged, or nothing at all."""

import hashlib
import json
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from services.webhook_gate import DIRECTORY, GITHUB_PATH, NUMBERS_PORT
from tests.lab.deployment import Deployment
from tests.lab.senders import COMMENTS, Sender, comment, issue, sign
from tests.support.waiting import until

_HOLD = """
import socket, ssl, sys, time
host, path, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
lines = [f"POST {path} HTTP/1.1", f"Host: {host}", f"X-Hub-Signature-256: sha256={'0' * 64}", f"Content-Length: {size}", "", ""]
head = "\\r\\n".join(lines)
context, held = ssl.create_default_context(), []
for _ in range(58):
    connection = context.wrap_socket(socket.create_connection((host, 443), 10), server_hostname=host)
    connection.settimeout(2)
    try:
        connection.sendall(head.encode() + b"x" * (size - 1))
    except OSError:
        pass  # Shown the door while sending.
    held.append(connection)
time.sleep(5)
"""
"""Opens many requests with a plausible signature and holds back the last byte of each body."""


@pytest.fixture
def sender(deployed: Deployment) -> Iterator[Sender]:
    yield Sender(deployed)


def test_a_webhook_arrives_at_n8n_byte_by_byte(deployed: Deployment, sender: Sender) -> None:
    words = f"où ça ? 🙂 {time.time_ns()}"
    body = comment(words)
    assert sender.meta(body) == 202
    until(lambda: arrived(deployed, body), 60, every=1.0)
    until(lambda: any(words in text for text in _lab(deployed, "api.telegram.org", "messages", "text")), 60, every=1.0)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/", 403),
        ("POST", "/webhook/summarize", 403),
        ("POST", "/webhook-test/github-autofix", 403),
        ("POST", "/rest/login", 403),
        ("GET", "/metrics", 403),
        ("POST", "/jobs", 403),
        ("POST", "/webhook/../rest/login", 403),
        ("POST", "/webhook/%2e%2e/rest/login", 403),
        ("POST", "//webhook/github-autofix", 404),
        ("GET", GITHUB_PATH, 405),
        ("PUT", COMMENTS, 405),
        ("DELETE", COMMENTS, 405),
        ("POST", "/health", 405),
        ("POST", GITHUB_PATH, 401),
        ("POST", COMMENTS, 401),
    ],
)
def test_what_is_not_declared_or_not_signed_is_refused(
    deployed: Deployment, sender: Sender, method: str, path: str, status: int
) -> None:
    before = _accepted(deployed)
    assert sender.ask(path, method, b'{"action": "labeled"}', X_GitHub_Event="issues")[0] == status
    assert _accepted(deployed) == before


def test_bodies_that_are_held_back_stop_no_gate_and_keep_no_event_out(deployed: Deployment, sender: Sender) -> None:
    shown = ["docker", "inspect", "-f", "{{.State.StartedAt}} {{.RestartCount}}", deployed.container("webhook-gate")]
    before = deployed.on_host(*shown)
    size = json.loads(_settings(deployed))["endpoints"][0]["largest_kib"] << 10
    command = ["python3", "-", "hook.vpai.test", GITHUB_PATH, str(size)]
    holding = threading.Thread(target=deployed.lab.outsider.run, args=(command,), kwargs={"input": _HOLD, "check": False})
    holding.start()
    seen: list[int] = []
    while holding.is_alive():
        seen.append(sender.github(issue(4100 + len(seen), label="another")))
    holding.join()
    assert seen and set(seen) == {202}
    assert deployed.on_host(*shown) == before


def test_who_does_not_sign_is_refused_whatever_the_type_and_the_size(deployed: Deployment, sender: Sender) -> None:
    until(lambda: _queued(deployed) == 0, 60, every=0.5)  # events of earlier tests are still on their way
    before = numbers(deployed)
    kinds = (
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/xml",
        "image/png",
        "",
    )
    bodies = (b"x=1", b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n')
    for path in (GITHUB_PATH, COMMENTS):
        asked = [(kind, body) for kind in kinds for body in bodies] + [(kinds[2], b"x" * (3 << 20))]
        statuses = {sender.ask(path, "POST", body, Content_Type=kind, X_GitHub_Event="issues")[0] for kind, body in asked}
        assert statuses == {401}, path
    after = numbers(deployed)
    assert {name for name in after if after[name] != before.get(name) and "refused_total" not in name} == set()


def test_what_is_signed_is_read_by_its_bytes_and_a_form_is_told_what_to_set(deployed: Deployment, sender: Sender) -> None:
    def signed(secret: str, path: str, body: bytes, kind: str, event: str) -> tuple[int, str]:
        signature = sign(deployed.secrets[secret], body)
        headers = {"X_Hub_Signature_256": signature, "X_GitHub_Event": event, "X_GitHub_Delivery": str(uuid.uuid4())}
        return sender.ask(path, "POST", body, Content_Type=kind, **headers)

    form = b"payload=%7B%22zen%22%3A%22z%22%7D"
    for event in ("ping", "issues"):
        status, said = signed("github_webhook_secret", GITHUB_PATH, form, "application/x-www-form-urlencoded", event)
        assert status == 400 and "application/json" in said
    for kind in ("application/json; charset=utf-8", "text/plain", "multipart/form-data; boundary=x"):
        said_by_github = issue(time.time_ns() % 10**6, label="another")
        assert signed("github_webhook_secret", GITHUB_PATH, said_by_github, kind, "issues")[0] == 202
        assert signed("meta_app_secret", COMMENTS, comment(f"of type {kind}"), kind, "")[0] == 202


def test_a_body_that_is_too_large_is_refused_however_well_it_is_signed(deployed: Deployment, sender: Sender) -> None:
    before = _accepted(deployed)
    assert sender.github(issue(1, label="bug", title="x" * (2 << 20))) == 413
    assert _accepted(deployed) == before


def test_another_signature_and_another_event_are_refused(deployed: Deployment, sender: Sender) -> None:
    before = _accepted(deployed)
    body = issue(1, label="bug")
    for signature in (sign("another-secret", body), sign(deployed.secrets["meta_app_secret"], body)):
        assert sender.ask(GITHUB_PATH, "POST", body, X_Hub_Signature_256=signature, X_GitHub_Event="issues")[0] == 401
    assert sender.github(body, event="push") == 403
    assert _accepted(deployed) == before


def test_metas_question_is_answered_to_whoever_knows_the_token(deployed: Deployment, sender: Sender) -> None:
    token = deployed.secrets["meta_verify_token"]
    query = "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token="
    assert sender.ask(f"{COMMENTS}?{query}{token}") == (200, "1158201444")
    assert sender.ask(f"{COMMENTS}?{query}{token}x")[0] == 403


def test_a_replay_is_refused_and_the_relay_tells_that_it_works(deployed: Deployment, sender: Sender) -> None:
    body, delivery = issue(1, label="bug"), str(uuid.uuid4())
    assert sender.github(body, delivery=delivery) == 202
    assert sender.github(body, delivery=delivery) == 409
    assert sender.github(body, delivery=str(uuid.uuid4())) == 409, "the id is not signed: the body counts too"
    said = comment("once")
    assert (sender.meta(said), sender.meta(said)) == (202, 200)
    until(lambda: _queued(deployed) == 0, 60, every=1.0)
    assert executions(deployed, said) == 1
    assert sender.ask("/health") == (200, "relay-ok")


def test_what_was_acknowledged_while_n8n_was_down_arrives(deployed: Deployment, sender: Sender) -> None:
    n8n = deployed.container("n8n")
    deployed.on_host("docker", "stop", n8n)
    try:
        body = comment(f"nobody is there {time.time_ns()}")
        assert sender.meta(body) == 202
        before = time.monotonic()
        deployed.on_host("docker", "restart", deployed.container("webhook-gate"))
        # The worker on waza always waits for a job; the gate would wait 8 s for requests in progress.
        assert time.monotonic() - before < 6, "whoever waits for a job held the restart up"
        # The event is known even after a restart.
        assert sender.meta(body) == 200, deployed.operate("logs", "sese/caddy").stdout
    finally:
        deployed.on_host("docker", "start", n8n)
    # The gate retries every 30 s at the latest; n8n takes up to 90 s to start on a busy machine.
    until(lambda: arrived(deployed, body), 180, every=2.0)
    assert executions(deployed, body) == 1


def test_an_issue_with_the_label_gets_exactly_one_pull_request_and_no_other_does(deployed: Deployment, sender: Sender) -> None:
    number = int(time.time())
    others = (
        issue(number + 1, label="bug"),
        issue(number + 2, labels=("security",)),
        issue(number + 3, repository="Mobutoo/another"),
    )
    asked = (issue(number), *others)
    assert [sender.github(body) for body in asked] == [202] * 4
    until(lambda: f"fix/GH-{number}" in _lab(deployed, "api.github.com", "pulls", "head"), 90, every=1.0)
    # Removing and adding the label again is another event.
    assert sender.github(issue(number)) == 202
    until(lambda: _queued(deployed) == 0, 90, every=1.0)
    until(lambda: 'auto_fix_jobs_total{outcome="already-there"}' in _worker(deployed), 60, every=1.0)

    pulls = [pull for pull in _lab(deployed, "api.github.com", "pulls") if pull["head"].startswith(f"fix/GH-{str(number)[:-1]}")]
    assert [(pull["head"], pull["base"], pull["files"]) for pull in pulls] == [
        (f"fix/GH-{number}", "main", [f"notes/{number}.md"])
    ]
    assert "stand-in of the VPAI lab" in pulls[0]["body"]
    reported = [said for said in _lab(deployed, "api.github.com", "comments") if said["issue"] == number]
    assert len(reported) == 1
    assert all(arrived(deployed, body) for body in asked), "n8n saw them all, and ignored three"


def test_jobs_are_for_the_worker_alone(deployed: Deployment, sender: Sender) -> None:
    ask = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "5", "https://fix.vpai.test/jobs/next"]
    assert deployed.lab.outsider.run(ask).stdout == "403"
    assert deployed.lab.operator.run([*ask, "--cacert", f"{deployed.directory}/.lab/ca/root.crt"]).stdout == "401"


def arrived(stack: Deployment, body: bytes) -> bool:
    """Whether n8n got exactly these bytes, under the gate's signature."""
    return executions(stack, body) > 0


def executions(stack: Deployment, body: bytes) -> int:
    """How often n8n got these bytes."""
    digest = hashlib.sha256(body).hexdigest()
    return int(stack.sql("n8n", f"SELECT count(*) FROM execution_data WHERE data LIKE '%{digest}%'"))


def numbers(stack: Deployment) -> dict[str, float]:
    """The gate's metrics."""
    shown = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    address = stack.on_host("docker", "inspect", "-f", shown, stack.container("webhook-gate"))
    text = stack.on_host("curl", "-sS", f"http://{address}:{NUMBERS_PORT}/metrics")
    pairs = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs}


def _accepted(stack: Deployment) -> float:
    return sum(value for name, value in numbers(stack).items() if name.startswith("webhook_gate_accepted_total"))


def _settings(stack: Deployment) -> str:
    [mount] = [
        mount["Source"]
        for mount in json.loads(stack.on_host("docker", "inspect", stack.container("webhook-gate")))[0]["Mounts"]
        if mount["Destination"] == DIRECTORY
    ]
    return stack.on_host("cat", f"{mount}/gate.json")


def _queued(stack: Deployment) -> float:
    return numbers(stack)["webhook_gate_queued"]


def _worker(stack: Deployment) -> str:
    container = stack.lab.waza.run(["docker", "ps", "-q", "--filter", "label=vpai.service=auto-fix"]).stdout.strip()
    shown = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"
    address = stack.lab.waza.run(["docker", "inspect", "-f", shown, container]).stdout.split()[0]
    return stack.lab.waza.run(["curl", "-sS", f"http://{address}:8083/metrics"]).stdout


def _lab(stack: Deployment, host: str, what: str, member: str = "") -> list[Any]:
    """What a stand-in has recorded."""
    shown = stack.lab.outsider.run(["curl", "-sS", f"https://{host}/__lab/{what}"]).stdout
    return [entry[member] if member else entry for entry in json.loads(shown)]


def test_what_edits_for_auto_fix_reads_no_token(deployed: Deployment) -> None:
    waza = deployed.lab.waza
    container = waza.run(["docker", "ps", "-q", "--filter", "label=vpai.service=auto-fix"]).stdout.strip()
    users = {
        words[0]: uid
        for uid, *words in (
            line.split() for line in waza.run(["docker", "exec", container, "sh", "-c", _PARTS]).stdout.splitlines()
        )
    }
    assert len({users["-part=worker"], users["-part=tool"], "0"}) == 3, users
    tool = ["docker", "exec", "--user", users["-part=tool"], container, "sh", "-c"]
    tried = "cat /etc/auto-fix/* /proc/[0-9]*/environ /work/*; ls /work; touch /planted /work/planted; id -u"
    said = waza.run([*tool, f"{{ {tried}; }} 2>&1"], check=False).stdout
    found = [
        name
        for name in ("auto_fix_token", "github_auto_fix_token", "auto_fix_anthropic_api_key")
        if deployed.secrets[name] in said
    ]
    assert found == [] and "Permission denied" in said and said.split()[-1] == users["-part=tool"], said


_PARTS = """
for process in /proc/[0-9]*; do
    part=$(tr '\\0' '\\n' <"$process/cmdline" 2>/dev/null | grep -e '^-part=') || continue
    echo "$(stat -c %u "$process") $part"
done
"""
