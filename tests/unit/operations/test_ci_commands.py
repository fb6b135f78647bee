"""What the workflows' targets do at GitHub, on a runner and on Telegram, against stand-ins."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lab.providers import server
from lab.providers.exchange import Request
from model.problem import Refused
from operations import notify, stack
from operations.deploy import git_refs, runner, up
from operations.deploy.preview_text import MARK
from operations.deploy.revision import commit_of
from operations.previews import post_comment
from operations.stack import Stack
from tests.support import fleets
from tests.support.waiting import until

_GH = """#!/usr/bin/env python3
import json, os, pathlib, sys
log = pathlib.Path(os.environ["GH_LOG"])
if "--method" in sys.argv:
    at = sys.argv.index("--method")
    log.open("a").write(json.dumps([*sys.argv[at + 1:at + 3], json.load(sys.stdin)["body"]]) + "\\n")
else:
    assert sys.argv[1:4] == ["api", "--paginate", "repos/o/r/issues/7/comments"], sys.argv
    print(os.environ["GH_FOUND"])
"""


@pytest.fixture
def gh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "gh").write_text(_GH)
    (tmp_path / "gh").chmod(0o755)
    for name, value in {"GH_LOG": str(tmp_path / "log"), "GITHUB_REPOSITORY": "o/r", "GH_FOUND": ""}.items():
        monkeypatch.setenv(name, value)
        monkeypatch.setitem(os.environ, "PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path / "log"


def test_one_comment_is_made_and_then_updated_in_place(gh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    post_comment.publish(7, f"{MARK}\nfirst")
    monkeypatch.setenv("GH_FOUND", "41\n42")
    post_comment.publish(7, f"{MARK}\n" + "a line\n" * 20_000)
    created, updated = (json.loads(line) for line in gh.read_text().splitlines())
    assert created == ["POST", "repos/o/r/issues/7/comments", f"{MARK}\nfirst"]
    assert updated[:2] == ["PATCH", "repos/o/r/issues/comments/41"]
    assert len(updated[2]) < 65_536 and updated[2].endswith("in the job's summary\n")


class _Prod(Stack):
    inputs = fleets.inputs()


def _telegram(_: Stack, url: str, *, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
    """The shared stand-in, asked as Telegram is."""
    host, _slash, path = url.removeprefix("https://").partition("/")
    request = Request(host=host, method="POST", path=f"/{path}", query={}, headers=headers, body=json.loads(body))
    answer = server.answer(request)
    return answer.status, json.dumps(answer.document).encode()


def test_a_result_is_told_to_the_operators_chat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "fetch", _telegram)
    server.MESSAGES.clear()
    notify.notify(_Prod("prod"), "prod deployed" + "!" * 5000)
    [message] = server.MESSAGES
    assert message.chat == fleets.DUMMY_SECRETS["telegram_monitoring_chat_id"]
    assert message.text.startswith("prod deployed!") and len(message.text) == 4096


def test_a_message_that_is_not_taken_is_said_without_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    token = fleets.DUMMY_SECRETS["telegram_monitoring_bot_token"]
    monkeypatch.setattr(notify, "fetch", _telegram)
    with pytest.raises(Refused, match="400, Bad Request: message text is empty"):
        notify.notify(_Prod("prod"), "")

    def broken(_: Stack, url: str, **__: Any) -> tuple[int, bytes]:
        raise OSError(f"cannot reach {url}")

    monkeypatch.setattr(notify, "fetch", broken)
    with pytest.raises(Refused, match="cannot reach") as refused:
        notify.notify(_Prod("prod"), "x")
    assert token not in str(refused.value)


def test_a_runner_gets_a_key_nobody_else_reads_and_a_place_in_the_mesh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("SEEN", str(tmp_path / "seen"))
    for name in ("tailscale", "tailscaled", "sudo"):
        (tmp_path / name).write_text(
            '#!/usr/bin/env bash\n[[ ${0##*/} == sudo ]] && shift && exec "$@"\necho "${0##*/} $*" >>"$SEEN"\n'
            'for word; do\n[[ $word == --auth-key=file:* ]] && cat "${word#*file:}" >>"$SEEN"\ndone; true\n'
        )
        (tmp_path / name).chmod(0o755)
    monkeypatch.setattr(runner, "SOCKET", str(tmp_path / "socket"))
    (tmp_path / "socket").touch()
    with pytest.raises(Refused, match="MESH_KEY is not set"):
        runner.prepare(_Prod("prod"), {"DEPLOY_KEY": "key"})
    runner.prepare(_Prod("prod"), {"DEPLOY_KEY": "-----BEGIN\n", "MESH_KEY": "hskey-auth-x", "GITHUB_RUN_ID": "12"})
    key = tmp_path / ".ssh/id_ed25519"
    assert key.read_text() == "-----BEGIN\n"
    assert key.stat().st_mode & 0o777 == 0o600
    seen = (tmp_path / "seen").read_text()
    assert "--login-server=https://singa.vpai.example.org" in seen and "--hostname=ci-12" in seen
    assert "\nhskey-auth-x" in seen and "hskey" not in seen.replace("\nhskey-auth-x", ""), "by file, not by argument"
    until(
        lambda: "--state=mem:" in (tmp_path / "seen").read_text(),
        30,
        describe=lambda: "the daemon, which runs on, was not started",
    )


def test_only_the_typed_commits_plan_is_taken_and_only_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for words in (["init", "-q", "--bare", "remote"], ["init", "-q", "clone"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    monkeypatch.setattr(stack, "PROJECT", tmp_path / "clone")
    monkeypatch.setattr(up, "PROJECT", tmp_path / "clone")
    remote, of = str(tmp_path / "remote"), Stack("prod")
    with pytest.raises(Refused, match="there is no plan for prod"):
        up.publish_plan(of, remote)
    place = up.Plan.of(of)
    place.directory.mkdir(parents=True)
    place.engine.write_text("{}")
    place.about.write_text(json.dumps({"commit": "a" * 40}))
    place.summary.write_text("what is shown")
    digest = place.digest
    up.publish_plan(of, remote)
    with pytest.raises(Refused, match="the plan is of aaaaaaaaaaaa"):
        up.take_plan(of, "b" * 40, digest, remote)
    assert not place.about.exists(), "nothing is left that could be applied"
    up.take_plan(of, "a" * 40, digest, remote)
    assert place.engine.read_text() == "{}"
    with pytest.raises(Refused, match="there is no plan for prod"):
        up.take_plan(of, "a" * 40, digest, remote)
    assert not git_refs.take("refs/plans/prod", tmp_path / "x", remote)


@pytest.mark.parametrize("changed", ["plan.json", "about.json", "summary.md"])
def test_a_plan_that_was_changed_after_it_was_shown_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    """By a push of refs: what the guards know of the plan (`about.json`) as well as its steps."""
    for words in (["init", "-q", "--bare", "remote"], ["init", "-q", "clone"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    monkeypatch.setattr(stack, "PROJECT", tmp_path / "clone")
    monkeypatch.setattr(up, "PROJECT", tmp_path / "clone")
    place = up.Plan.of(Stack("prod"))
    place.directory.mkdir(parents=True)
    place.engine.write_text("{}")
    place.about.write_text(json.dumps({"commit": "a" * 40, "changes": ["loses data"]}))
    place.summary.write_text("what is shown")
    approved = place.digest
    (place.directory / changed).write_text(json.dumps({"commit": "a" * 40, "changes": []}))
    up.publish_plan(Stack("prod"), str(tmp_path / "remote"))
    with pytest.raises(Refused, match="not the one that was approved"):
        up.take_plan(Stack("prod"), "a" * 40, approved, str(tmp_path / "remote"))
    assert not place.directory.exists(), "nothing is left that could be applied"


@pytest.mark.parametrize("commit", ["origin/main^{/.|$(shell x)}", "--upload-pack=x", "HEAD", "A" * 40, "a" * 39, ""])
def test_a_commit_that_is_not_typed_in_full_is_refused_before_git_sees_it(commit: str) -> None:
    with pytest.raises(Refused, match="not 40 hexadecimal digits"):
        up.take_plan(Stack("prod"), commit, "0" * 64, "/nowhere")


@pytest.mark.parametrize("revision", ["--output=x", "-h", "no-such-branch", "HEAD:README.md", ""])
def test_what_names_no_commit_is_no_option_of_gits_either(revision: str) -> None:
    with pytest.raises(Refused, match="is no commit of this repository"):
        commit_of(revision, example="make rollback COMMIT=HEAD~1")
    assert commit_of("HEAD~0", "") == commit_of("HEAD", "") != ""
