"""What the real programs of the applications accept and do, as a value each: docs/proofs/faults.md has the evidence."""

import hashlib
import json
import os
import re
import subprocess
import threading
from base64 import b64decode
from collections.abc import Iterator
from configparser import ConfigParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from model.credential import StoredSecret
from operations.checks.authentication import own_hash
from services import couchdb, nocodb, openclaw, qdrant, sandboxes, sure, zerobyte
from services.litellm.models import MODELS
from services.n8n.workflows import workflows
from tests.support.fleets import NAMES, context, stack_services
from tests.support.fleets import PROJECT as PROJECT_DIRECTORY
from tests.support.whole import PROJECT

OPENCLAW = openclaw.service(context())
PREPROD = {service.name: service for service in stack_services(scale=0.5)}
PLUGIN = Path(openclaw.__file__).with_name("openclaw_plugin") / "index.js"


def settings() -> Any:
    assert OPENCLAW.configuration
    return json.loads(next(file.content for file in OPENCLAW.configuration.files if file.path == "openclaw.json"))


def test_zerobyte_is_started_by_what_its_image_has() -> None:
    # nicotsx/zerobyte v0.26.0: Dockerfile's CMD, and "start" of package.json. There is no server.ts at that tag.
    assert zerobyte.service(NAMES).command == ("bun", "run", "start")


def test_qdrant_is_the_first_process_and_so_ends_in_order() -> None:
    assert qdrant.service().command[0] == "./qdrant"


def test_the_key_of_a_websocket_probe_is_one_that_ws_accepts() -> None:
    probes = " ".join(" ".join(service.healthcheck.command) for service in PREPROD.values())
    keys = re.findall(r"'Sec-WebSocket-Key':'([^']*)'", probes)
    # ws 8.19.0, lib/websocket-server.js: keyRegex.
    assert keys and all(re.fullmatch(r"[+/0-9A-Za-z]{22}==", key) and len(b64decode(key)) == 16 for key in keys)


@pytest.mark.parametrize(
    ("name", "least", "heap"),
    [("openclaw", 1280, 768), ("nocodb", 512, 430), ("sure-web", 384, None), ("sure-worker", 256, None)],
)
def test_what_needs_its_memory_everywhere_has_it_in_preprod_too(name: str, least: int, heap: int | None) -> None:
    assert PREPROD[name].limits.memory_mib >= least
    if heap:
        assert PREPROD[name].environment["NODE_OPTIONS"] == f"--max-old-space-size={heap}"


class TestAgents:
    def test_each_has_the_whole_sandbox_block(self) -> None:
        agents = settings()["agents"]
        for agent in agents["list"]:
            assert agent["sandbox"].keys() == agents["defaults"]["sandbox"].keys()
            assert agent["sandbox"]["docker"].keys() == agents["defaults"]["sandbox"]["docker"].keys()
            assert agent["sandbox"]["mode"] == "all"

    def test_each_has_whatever_of_the_defaults_a_hooks_run_would_take_from_it_or_lose(self) -> None:
        # openclaw 2026.2.23, resolveAgentConfig: each of these replaces the default's, also where the agent has none.
        own = {"name", "workspace", "agentDir", "skills", "memorySearch", "humanDelay", "heartbeat", "identity", "groupChat"}
        agents = settings()["agents"]
        for agent in agents["list"]:
            assert {*own, "sandbox", "tools"} & agents["defaults"].keys() <= agent.keys()

    def test_each_writes_into_a_workspace_of_its_own_which_docker_proxy_lets_it_mount(self) -> None:
        policy = sandboxes.service(PROJECT, openclaw.sandbox()).configuration
        assert policy
        below = json.loads(policy.files[0].content)["workspaces"]
        agents = settings()["agents"]["list"]
        # 2026.2.23, fsBridge: allowsWrites(access) is access === "rw".
        assert {agent["sandbox"]["workspaceAccess"] for agent in agents} == {"rw"}
        assert len({agent["workspace"] for agent in agents}) == len(agents)
        assert all(Path(agent["workspace"]).parent == Path(below) for agent in agents)

    def test_there_is_a_sandbox_for_each_run_that_may_go_on(self) -> None:
        defaults = settings()["agents"]["defaults"]
        at_once = (defaults["maxConcurrent"], defaults["subagents"]["maxConcurrent"], settings()["cron"]["maxConcurrentRuns"])
        at_most = openclaw.sandbox().at_most
        assert sum(at_once) <= at_most < len(openclaw.AGENTS)
        assert settings()["plugins"]["entries"]["vpai"]["config"] == {"sandboxes": at_most}
        assert defaults["sandbox"]["prune"]["idleHours"] == 1  # The smallest; OpenClaw counts whole hours.

    def test_the_explorer_searches_from_its_sandbox(self) -> None:
        [explorer] = [agent for agent in settings()["agents"]["list"] if agent["id"] == "explorer"]
        assert {"web_search", "web_fetch", "exec", "read", "write"} <= set(explorer["tools"]["sandbox"]["tools"]["allow"])

    def test_each_model_says_what_it_reads_and_writes_at_most(self) -> None:
        known = {model.name: model for model in MODELS}
        for model in settings()["models"]["providers"]["custom-litellm"]["models"]:
            assert model["contextWindow"] == known[model["id"]].context_tokens > model["maxTokens"] > 0
            assert model["maxTokens"] == known[model["id"]].maximum_tokens

    def test_n8n_names_the_run_whose_result_it_gets(self) -> None:
        [asked] = [
            node
            for workflow in workflows(context())
            if workflow.name == "ask-agent"
            for node in workflow.nodes
            if node.name == "OpenClaw"
        ]
        assert "sessionKey: 'n8n:' + $execution.id" in str(asked.parameters["jsonBody"])
        assert settings()["hooks"]["allowRequestSessionKey"] and "n8n:" in settings()["hooks"]["allowedSessionKeyPrefixes"]


class TestPlugin:
    """OpenClaw's plugin in node, with a docker that plays sandboxes and an n8n that keeps what it is told."""

    @pytest.fixture
    def n8n(self, request: pytest.FixtureRequest) -> Iterator[tuple[str, list[tuple[Any, str]]]]:
        reported: list[tuple[Any, str]] = []
        refusal = getattr(request, "param", 502)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                reported.append((json.loads(body), self.headers["x-signature-256"]))
                # The first time n8n is not there yet.
                self.send_response(200 if len(reported) > 1 else refusal)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{server.server_address[1]}", reported
            server.shutdown()

    def node(self, tmp_path: Path, script: str, n8n: str = "http://127.0.0.1:9", sandboxes: str = "") -> str:
        state = tmp_path / "sandboxes"
        state.write_text(sandboxes)
        docker = tmp_path / "docker"
        docker.write_text(f'#!/bin/sh\nif [ "$1" = ps ]; then cat {state}; else sed -i "/^$3 /d" {state}; fi\n')
        docker.chmod(0o755)
        (tmp_path / "package.json").write_text('{"type": "module"}')
        (tmp_path / "index.js").write_text(PLUGIN.read_text())
        (tmp_path / "test.js").write_text(
            'import register from "./index.js";\nconst on = {};\n'
            "const logger = { info: () => {}, error: console.error };\n"
            # As OpenClaw does it: registered twice, a run begins with the first and ends with the second.
            "register({ pluginConfig: { sandboxes: 2 }, logger, on: (name, hook) => (on[name] = hook) });\n"
            "const { before_model_resolve } = on;\n"
            "register({ pluginConfig: { sandboxes: 2 }, logger, on: (name, hook) => (on[name] = hook) });\n"
            "on.before_model_resolve = before_model_resolve;\n" + script
        )
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "N8N_WEBHOOK_BASE_URL": n8n, "N8N_WEBHOOK_SECRET": "secret"}
        done = subprocess.run(["node", "test.js"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return state.read_text()

    def test_a_result_reaches_n8n_signed_and_again_when_it_was_not_taken(
        self, tmp_path: Path, n8n: tuple[str, list[tuple[Any, str]]]
    ) -> None:
        address, reported = n8n
        answer = '{ role: "assistant", content: [{ type: "thinking" }, { type: "text", text: "Done: été" }] }'
        self.node(
            tmp_path,
            f'await on.agent_end({{ messages: [{{ role: "user" }}, {answer}], success: true }},'
            ' { agentId: "builder", sessionId: "s", sessionKey: "agent:builder:n8n:42" });',
            address,
        )
        expected = {"agent": "builder", "run": "42", "failed": False, "result": "Done: été"}
        assert [document for document, _ in reported] == [expected, expected]

    @pytest.mark.parametrize("n8n", [400, 413, 422], indirect=True)
    def test_a_result_that_is_refused_for_good_is_sent_once(self, tmp_path: Path, n8n: tuple[str, list[tuple[Any, str]]]) -> None:
        address, reported = n8n
        context = '{ agentId: "cfo", sessionId: "s", sessionKey: "agent:cfo:n8n:7" }'
        self.node(tmp_path, f"await on.agent_end({{ messages: [], success: true }}, {context});", address)
        assert len(reported) == 1

    @pytest.mark.parametrize(
        ("event", "said"),
        [
            ('{ messages: [], success: false, error: "no sandbox" }', "failed: no sandbox"),
            (
                '{ messages: [{ role: "assistant", content: [], stopReason: "error", errorMessage: "401" }], success: true }',
                "failed: 401",
            ),
            ("{ messages: [], success: true }", "(the agent said nothing)"),
        ],
    )
    def test_a_run_that_gave_nothing_says_why(
        self, tmp_path: Path, n8n: tuple[str, list[tuple[Any, str]]], event: str, said: str
    ) -> None:
        address, reported = n8n
        context = '{ agentId: "cfo", sessionId: "s", sessionKey: "agent:cfo:n8n:7" }'
        self.node(tmp_path, f"await on.agent_end({event}, {context});", address)
        assert reported[-1][0]["result"] == said

    def test_a_chat_is_nothing_to_n8n(self, tmp_path: Path, n8n: tuple[str, list[tuple[Any, str]]]) -> None:
        address, reported = n8n
        context = '{ agentId: "concierge", sessionId: "s", sessionKey: "agent:concierge:main" }'
        self.node(tmp_path, f"await on.agent_end({{ messages: [], success: true }}, {context});", address)
        assert reported == []

    def test_the_third_agent_takes_the_place_of_the_one_that_has_been_idle_for_longest(self, tmp_path: Path) -> None:
        containers = "a1 1 agent:builder\nb2 1 agent:writer\n"
        begin = "".join(
            f'await on.before_model_resolve({{}}, {{ agentId: "{agent}", sessionId: "{agent}" }});'
            f'await on.agent_end({{ messages: [], success: true }}, {{ agentId: "{agent}", sessionId: "{agent}" }});'
            "await new Promise((resolve) => setTimeout(resolve, 5));"
            for agent in ("builder", "writer", "builder")
        )
        third = 'await on.before_model_resolve({}, { agentId: "cfo", sessionId: "c" });'
        assert self.node(tmp_path, begin, sandboxes=containers) == containers
        assert self.node(tmp_path, begin + third, sandboxes=containers) == "a1 1 agent:builder\n"

    def test_what_is_no_sandbox_is_never_removed(self, tmp_path: Path) -> None:
        containers = "a1  \nb2  agent:writer\nc3  \n"
        begin = 'await on.before_model_resolve({}, { agentId: "cfo", sessionId: "c" });'
        assert self.node(tmp_path, begin, sandboxes=containers) == containers

    def test_a_sandbox_in_use_stays(self, tmp_path: Path) -> None:
        containers = "a1 1 agent:builder\nb2 1 agent:writer\n"
        begin = "".join(
            f'await on.before_model_resolve({{}}, {{ agentId: "{agent}", sessionId: "{agent}" }});'
            for agent in ("builder", "cfo")
        )
        assert self.node(tmp_path, begin, sandboxes=containers) == "a1 1 agent:builder\n"


@pytest.mark.parametrize("shell", ["/bin/sh", "images/sandboxes/filesystem-bridge"])
def test_the_shell_of_a_sandbox_runs_what_openclaw_sends(shell: str, tmp_path: Path) -> None:
    """The form in which 2026.2.23 sends its script: /bin/sh refuses it, ours does not, and hands on arguments and input."""
    loop = 'while [ ! -e "$cursor" ]; do;   cursor=$(dirname -- "$cursor"); done'
    script = f'set -eu; cursor="$1"; {loop}; printf "%s " "$cursor"; cat'
    words = [str(PROJECT_DIRECTORY / shell), "-c", script, "moltbot-sandbox-fs", f"{tmp_path}/a/b"]
    done = subprocess.run(words, input="its input", capture_output=True, text=True)
    if shell == "/bin/sh":
        assert done.returncode and "yntax error" in done.stderr
    else:
        assert (done.returncode, done.stdout) == (0, f"{tmp_path} its input")
        plain = subprocess.run([words[0], "-c", 'echo "$0 $1"', "name", "a  b"], capture_output=True, text=True, check=True)
        assert plain.stdout == "name a  b\n"


def test_couchdb_is_the_same_server_after_a_replacement() -> None:
    configuration = couchdb.service().configuration
    assert configuration
    ini = next(file.content for file in configuration.files if file.path.endswith(".ini"))
    sections = ConfigParser(interpolation=None)
    sections.read_string(ini)
    # apache/couchdb 3.3.3: couch_server.erl get_uuid, couch_httpd_auth.erl ensure_cookie_auth_secret.
    assert sections["couchdb"]["uuid"] == str(couchdb.UUID)
    assert sections["chttpd_auth"]["secret"] == str(couchdb.COOKIE_SECRET)


@pytest.mark.parametrize(
    ("service", "unknown"),
    [
        (nocodb.service(NAMES), ("NC_API_TOKEN",)),
        (sure.web(context()), ("SURE_API_KEY",)),
        (sure.worker(context()), ("SURE_API_KEY",)),
        # In none of the files of openclaw 2026.2.23, and no agent sees the gateway's environment.
        (OPENCLAW, ("NOCODB_BASE_URL", "NOCODB_API_TOKEN", "QDRANT_URL", "QDRANT_API_KEY", "QDRANT_RAG_COLLECTION")),
    ],
)
def test_no_program_gets_a_variable_that_it_does_not_know(service: Any, unknown: tuple[str, ...]) -> None:
    assert not {*service.environment, *service.secret_environment} & {*unknown}


class TestWhatAProgramHolds:
    HASH = hashlib.sha256(b"kept").hexdigest()

    def held(self, tmp_path: Path, environ: bytes) -> str:
        (tmp_path / "environ").write_bytes(environ)
        (tmp_path / "environment").write_text("OTHER='other'\nKEY='kept'\n")
        script = own_hash(StoredSecret(variable="KEY"), str(tmp_path), str(tmp_path / "environ"))
        return subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.strip()

    def test_is_asked_of_its_environment(self, tmp_path: Path) -> None:
        assert self.held(tmp_path, b"A=b\0KEY=kept\0") == self.HASH
        assert self.held(tmp_path, b"A=b\0KEY=another\0") != self.HASH

    def test_or_of_its_file_when_a_title_lies_over_that(self, tmp_path: Path) -> None:
        assert self.held(tmp_path, b"0.0.0:3000) [rails]\0\0\0\0\0") == self.HASH
