"""n8n's workflows as values: they hang together, and ask only for what the service is given."""

import json
import re
import subprocess
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from operations.notify import shortened
from services import n8n, webhook_gate
from services.n8n.workflows import Workflow, workflows
from tests.support.fleets import context

SERVICE = n8n.service(context())
WORKFLOWS = [pytest.param(workflow, id=workflow.name) for workflow in workflows(context())]


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_every_step_is_named_once_and_reached(workflow: Workflow) -> None:
    names = [node.name for node in workflow.nodes]
    assert len(set(names)) == len(names)
    led_to = {name for node in workflow.nodes for output in node.then for name in output}
    triggers = {node.name for node in workflow.nodes if node.kind in ("webhook", "scheduleTrigger")}
    assert led_to | triggers == set(names)


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_what_a_workflow_takes_from_the_environment_is_there(workflow: Workflow) -> None:
    asked = set(re.findall(r"\$env\.(\w+)", json.dumps(workflow.document())))
    assert asked <= {*SERVICE.environment, *SERVICE.secret_environment}


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_no_workflow_holds_a_secret(workflow: Workflow) -> None:
    assert "${secret:" not in json.dumps(workflow.document())


def test_the_encryption_key_has_64_hex_characters_and_is_never_rotated() -> None:
    assert n8n.ENCRYPTION_KEY.irreplaceable
    assert (n8n.ENCRYPTION_KEY.source.length, n8n.ENCRYPTION_KEY.source.hexadecimal) == (64, True)  # type: ignore[union-attr]


def test_the_gate_calls_each_workflow_and_no_other() -> None:
    paths = {f"/webhook/{workflow.name}" for workflow in workflows(context())}
    assert {webhook_gate.GITHUB_PATH, *webhook_gate.META_PATHS, *webhook_gate.CALLS_PATHS} == paths


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_n8n_asks_for_the_gates_token_before_a_workflow_begins(workflow: Workflow) -> None:
    [call] = [node for node in workflow.nodes if node.kind == "webhook"]
    assert call.parameters["authentication"] == "jwtAuth"
    assert call.fields["credentials"] == {"jwtAuth": {"name": "vpai-gate"}}
    assert call.then == (("Input",),)


_HARNESS = """
const [code, items, $env] = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const run = new Function('$input', '$env', 'require', code);
console.log(JSON.stringify(items.map((item) => {
    try { return run({ first: () => item }, $env, require)[0].json; } catch (error) { return { thrown: String(error) }; }
})));
"""


def ran(workflow: str, step: str, items: Sequence[object]) -> list[Any]:
    """What a step of ours makes of each item, in node as in n8n's runner of code."""
    [node] = [node for flow in workflows(context()) if flow.name == workflow for node in flow.nodes if node.name == step]
    variables = {name: SERVICE.environment[name] for name in SERVICE.environment}
    given = json.dumps([node.parameters["jsCode"], items, variables])
    done = subprocess.run(["node", "-e", _HARNESS], input=given, capture_output=True, text=True, check=True, timeout=60)
    results = json.loads(done.stdout)
    assert isinstance(results, list) and len(results) == len(items)
    return results


EVENT = {"action": "labeled", "repository": {"full_name": "Mobutoo/VPAI"}, "issue": {"number": 1}}
SOUND: Mapping[str, Mapping[str, object]] = {
    "ask-agent": {"agent": "builder", "message": "count"},
    "agent-callback": {"agent": "builder", "run": "1", "result": "done"},
    "summarize": {"text": "a story"},
    "health-report": {},
    "github-autofix": EVENT,
    "ig-comment": {"object": "instagram", "entry": [{}]},
    "ig-dm": {"object": "instagram", "entry": [{}]},
}
ODD: tuple[object, ...] = (None, "", "text", "  ", 0, 1, 1.5, True, False, [], [None], {}, {"a": 1}, [[]], "\U0001f642")


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_a_workflow_takes_what_it_can_use_and_says_what_is_wrong_with_all_else(workflow: Workflow) -> None:
    sound = SOUND[workflow.name]
    wrong: list[object] = [body for body in ODD if not isinstance(body, dict)]
    for field in sound:
        if field == "run":
            continue
        kind = type(sound[field])
        wrong += [{name: value for name, value in sound.items() if name != field}]
        wrong += [{**sound, field: value} for value in ODD if not isinstance(value, kind) or value in ("", "  ", [])]
    if workflow.name == "ask-agent":
        wrong += [{**sound, "agent": "somebody"}, {**sound, "agent": "Builder"}]
    multipart = {"json": {"body": {"text": "x"}}}  # As n8n hands on a form: with no bytes to look at.
    bodies = [{"json": {"body": body}, "binary": {"data": {"data": "e30="}}} for body in (sound, *wrong)]
    first, *others = ran(workflow.name, "Input", [*bodies, multipart])
    assert first["right"] and first["call"] == sound
    assert first["digest"] == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"  # Of {}.
    for body, said in zip(wrong, others, strict=False):
        assert not said.get("right", True) and "call" not in said, body
        assert "Send for example {" in said["error"], body
    assert "thrown" not in others[-1]


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_only_what_is_right_goes_on_to_what_costs(workflow: Workflow) -> None:
    by_name = {node.name: node for node in workflow.nodes}
    assert by_name["Input"].then == (("Right?",),)
    [[onward], [otherwise]] = by_name["Right?"].then
    assert otherwise == "Wrong" and not by_name["Wrong"].then
    assert by_name["Wrong"].parameters["options"] == {"responseCode": 400}
    assert onward not in ("Input", "Right?", "Wrong")


def test_odd_issues_are_ignored_and_never_end_a_workflow() -> None:
    calls = [{**EVENT, field: value} for field in ("action", "repository", "issue", "label") for value in ODD]
    calls += [{**EVENT, "label": {"name": "auto-fix"}, "issue": {"labels": value, "state": "open"}} for value in ODD]
    for result in ran("github-autofix", "Issue", [{"json": {"call": call}} for call in calls]):
        assert "thrown" not in result, result


def reported(*entries: object) -> Any:
    """The lines that Telegram would be sent of Meta's event."""
    result = ran("ig-dm", "Instagram", [{"json": {"call": {"object": "instagram", "entry": list(entries)}}}])[0]
    assert result["anything"] == (result["text"] != "Instagram:")
    return result["text"].split("\n")[1:]


def test_metas_events_are_told_by_whom_they_are_and_echoes_are_not() -> None:
    # Instagram Platform, "Webhook Notification Examples"; the test that Meta's page sends of a field comes in the same shapes.
    person, us = {"id": "17"}, {"id": "0"}
    said = {"sender": person, "recipient": us, "message": {"mid": "m", "text": "hello"}}
    assert reported({"id": "0", "messaging": [said]}) == ["17: hello"]
    assert reported({"id": "0", "changes": [{"field": "messages", "value": said}]}) == ["17: hello"]
    value = {"id": "9", "from": {"id": "17", "username": "jo"}, "text": "nice"}
    assert reported({"id": "0", "changes": [{"field": "comments", "value": value}]}) == ["jo: nice"]
    assert reported({"id": "0", "field": "comments", "value": value}) == ["jo: nice"]
    assert reported({"id": "0", "messaging": [{**said, "message": {"mid": "m", "attachments": [{"type": "image"}]}}]}) == [
        "17: (image)"
    ]
    echo = {**said, "sender": us, "message": {"mid": "m", "text": "ours", "is_echo": True}}
    own = {"field": "comments", "value": {**value, "from": us}}
    others: tuple[Mapping[str, object], ...] = (
        {"read": {"mid": "m"}},
        {"reaction": {"emoji": "x"}},
        {"message": {"mid": "m", "is_deleted": True}},
        {},
    )
    assert (
        reported({"id": "0", "messaging": [echo, *({**said, "message": None, **other} for other in others)], "changes": [own]})
        == []
    )


def test_odd_events_of_meta_never_end_a_workflow() -> None:
    entries = [{field: value} for field in ("changes", "messaging", "value") for value in ODD] + list(ODD)
    entries += [{"changes": [{"value": value}]} for value in ODD] + [{"messaging": [{"message": value}]} for value in ODD]
    for result in ran("ig-dm", "Instagram", [{"json": {"call": {"entry": [entry]}}} for entry in entries]):
        assert "thrown" not in result and "(no text)" not in result["text"], result


FAMILY, FLAG, ACCENT, THUMB = (
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "\U0001f1eb\U0001f1f7",
    "e\u0301",
    "\U0001f44d\U0001f3fd",
)


@pytest.mark.parametrize("character", ["x", "é", "\U0001f642", FAMILY, FLAG, ACCENT, THUMB, "\r\n"])
def test_a_message_is_as_long_as_telegram_takes_and_cut_between_characters(character: str) -> None:
    def units(text: str) -> int:
        return len(text.encode("utf-16-le")) // 2

    texts = ["y" * offset + character * 4096 for offset in range(units(character) + 1)]
    by_n8n = [result["text"] for result in ran("ig-dm", "Message", [{"json": {"text": text}} for text in texts])]
    for offset, by_node, by_python in zip(range(len(texts)), by_n8n, map(shortened, texts), strict=True):
        for said in (by_node, by_python):
            assert 4096 - units(character) < units(said) <= 4096
            assert said == "y" * offset + character * ((units(said) - offset) // units(character))
    assert [result["text"] for result in ran("ig-dm", "Message", [{"json": {"text": character}}])] == [character]
    assert shortened(character) == character


def test_what_is_no_text_of_unicode_is_made_one_and_one_endless_character_is_cut() -> None:
    halves = ["a\ud83d", "\ude42a", "\ud83d" * 5000, "e" + "\u0301" * 5000]
    messages = [result["text"] for result in ran("ig-dm", "Message", [{"json": {"text": text}} for text in halves])]
    assert messages[:2] == ["a\ufffd", "\ufffda"]
    for text in (*messages[2:], shortened(halves[2]), shortened(halves[3])):
        assert 0 < len(text.encode("utf-16-le")) // 2 <= 4096
    assert unicodedata.category(messages[3][1]) == "Mn"


@pytest.mark.parametrize(
    ("workflow", "api"),
    [("agent-callback", "Telegram"), ("ask-agent", "OpenClaw"), ("github-autofix", "Jobs"), ("summarize", "LiteLLM")],
)
def test_final_and_passing_refusals_of_an_api_are_told_apart(workflow: str, api: str) -> None:
    by_name = {node.name: node for flow in workflows(context()) if flow.name == workflow for node in flow.nodes}
    assert by_name[api].then == (("Taken?",), ("Fail",)) and by_name["Taken?"].then == (("Reply",), ("Fail",))
    fail: Any = by_name["Fail"].parameters
    code = fail["options"]["responseCode"].removeprefix("={{").removesuffix("}}")
    wait = fail["options"]["responseHeaders"]["entries"][0]["value"].removeprefix("={{").removesuffix("}}")
    body = fail["responseBody"].removeprefix("={{").removesuffix("}}")
    answers = [
        {"statusCode": 400, "body": {"ok": False, "description": "Bad Request: message is too long"}},
        {"statusCode": 429, "body": {"ok": False, "description": "Too Many Requests", "parameters": {"retry_after": 41}}},
        *(
            {"statusCode": status, "headers": {"retry-after": "7"}, "body": "oops"}
            for status in (401, 403, 404, 409, 500, 502, 503)
        ),
        {"error": {"message": "connect ECONNREFUSED"}},
    ]
    script = f"console.log(JSON.stringify({json.dumps(answers)}.map(($json) => [{code}, String({wait}), {body}.error])))"
    done = subprocess.run(["node", "-e", script], capture_output=True, text=True, check=True)
    final, limited, *passing, silent = json.loads(done.stdout)
    taken: Any = by_name["Taken?"].parameters["conditions"]
    good = {"statusCode": 200, "body": {"choices": [{"message": {"content": "short"}}]}}
    condition = taken["conditions"][0]["leftValue"].removeprefix("={{").removesuffix("}}")
    script = f"console.log(JSON.stringify({json.dumps([good, *answers])}.map(($json) => {condition})))"
    done = subprocess.run(["node", "-e", script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [True] + [False] * len(answers)
    assert final == [422, "1", f"{api} refuses it for good: Bad Request: message is too long"]
    assert limited[:2] == [502, "41"] and all(refusal[:2] == [502, "7"] for refusal in passing) and silent[:2] == [502, "1"]
