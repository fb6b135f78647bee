"""Every stand-in and fake has a contract, nothing in one is without a named source; and those of no other test are broken."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lab.contract import Contract, keys
from lab.images import SERVICES
from lab.providers.api import CONTRACTS
from lab.providers.server import SHAPES
from services import couchdb, postgresql
from tests.lab.senders import comment, issue
from tests.support.fleets import PROJECT

IMAGES = PROJECT / "lab/images"
SENDERS = PROJECT / "tests/lab/senders.json"
BUCKETS = "fsn1.your-objectstorage.com"
ENGINE = "rule-engine"
"""No service of ours: tests judge Grafana's rules with it."""
SLEEPS = "pause"
"""It is given nothing: no port, no variable, no file."""
PASSED_ON = {
    "redis": "its entrypoint gives the real server what it is given",
    "n8n": "its entrypoint gives the real program what it is given",
    "openclaw": "its entrypoint gives the real program what it is given",
    "litellm": "its entrypoint gives the real program what it is given",
}
NAMING = {"variable prefixes", "statuses", "headers", "codes"}
"""Kinds that name what there is: another cannot be given."""
STAND_INS = {service.recipe for service in SERVICES.values() if "stand-in" in service.real} - {SLEEPS}
WITH_A_CONTRACT = {*STAND_INS, ENGINE, "postgres"}
FILES = (*sorted(IMAGES.glob("*/contract.json")), *sorted(CONTRACTS.glob("*.json")), SENDERS)
NAMED = re.compile(
    r"[\w.-]+/[\w.-]+(@\S|#\d)"  # a repository and its tag or issue
    r"|[\w-]+(\.[\w-]+)+/\S"  # a page
    r"|[\w./-]+\.(go|py|c|cpp|erl|ini|js|md|rb|rs|sh|sql|ts|yml)\b|[Dd]ockerfile"  # a file of the named upstream
    r"|the stand-in's own"
)


def name(path: Path) -> str:
    return path.parent.name if path.name == "contract.json" else path.stem


def document(path: Path) -> Any:
    return json.loads(path.read_text())


def sources(contract: Any) -> dict[str, str]:
    """Where each entry of a contract is from."""
    accepted = {f"{kind}: {entry}": source for kind, entries in contract["accepted"].items() for entry, source in entries.items()}
    rest = {
        f"{part}: {entry}": inner.get("source", "")
        for part in ("refusals", "limits", "required")
        for entry, inner in contract.get(part, {}).items()
    }
    return {**accepted, **rest}


def test_every_stand_in_has_a_contract() -> None:
    entrypoints = {path.parent.name for path in IMAGES.glob("*/*entrypoint.sh")} - WITH_A_CONTRACT
    assert entrypoints == PASSED_ON.keys()
    expected = {*WITH_A_CONTRACT, *SHAPES, BUCKETS, SENDERS.stem}
    assert {name(path) for path in FILES} == expected


@pytest.mark.parametrize("path", FILES, ids=name)
def test_nothing_is_accepted_or_said_without_a_named_source(path: Path) -> None:
    contract = document(path)
    assert NAMED.search(contract["upstream"])
    found = sources(contract)
    assert [entry for entry, source in found.items() if not NAMED.search(source) or "memory" in source.split()] == []


@pytest.mark.parametrize("source", ["", "from memory", "the documentation", "a/b@main:c.go (from memory)"])
def test_a_source_must_be_one(source: str) -> None:
    assert not NAMED.search(source) or "memory" in source


@pytest.mark.parametrize("path", FILES, ids=name)
def test_every_pattern_of_a_contract_is_one_and_every_kind_that_is_accepted_is_refused_too(path: Path) -> None:
    contract = document(path)
    for entries in contract["accepted"].values():
        for entry in entries:
            re.compile(entry)
    assert contract["accepted"].keys() - contract["refusals"].keys() <= NAMING


class TestCouchDB:
    def ask(self, call: str) -> Any:
        script = f"const c = require(process.argv[1]); console.log(JSON.stringify({call}))"
        words = ["node", "-e", script, str(IMAGES / "couchdb/contract.cjs")]
        return json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)

    def test_the_catalogues_variables_and_settings_are_accepted(self) -> None:
        service = couchdb.service()
        environment = {**service.environment, **service.secret_environment}
        assert service.configuration
        settings: dict[str, dict[str, str]] = {}
        [ini] = [file.content for file in service.configuration.files if file.path.endswith(".ini")]
        for line in ini.splitlines():
            if header := re.fullmatch(r"\[(\w+)\]", line.strip()):
                section = settings.setdefault(header[1], {})
            elif "=" in line:
                section[line.partition("=")[0].strip()] = ""
        assert settings and self.ask(f"c.atStart({json.dumps(environment)}, {json.dumps(settings)})") == []

    @pytest.mark.parametrize(
        ("environment", "settings", "said"),
        [
            ({}, {}, "Admin Party"),
            ({"COUCHDB_WISH": "1"}, {}, "COUCHDB_WISH is no variable"),
            ({}, {"chttpd": {"wish": "1"}}, "chttpd.wish"),
        ],
    )
    def test_another_variable_or_setting_is_refused(
        self, environment: dict[str, str], settings: dict[str, dict[str, str]], said: str
    ) -> None:
        known = {"COUCHDB_USER": "a", "COUCHDB_PASSWORD": "b"} if environment or settings else {}
        [refusal] = self.ask(f"c.atStart({json.dumps({**known, **environment})}, {json.dumps(settings)})")
        assert said in refusal

    @pytest.mark.parametrize(
        ("method", "path", "kind", "size", "refusal"),
        [
            ("GET", "/vault/_changes", "", 0, None),
            ("PUT", "/vault/_local/id", "application/json", 9, None),
            ("GET", "/_node/_local", "", 0, [404, "not_found"]),
            ("GET", "/vault/_wish", "", 0, [404, "not_found"]),
            ("PATCH", "/vault", "", 0, [405, "method_not_allowed"]),
            ("PUT", "/Vault", "", 0, [400, "illegal_database_name"]),
            ("POST", "/vault/_bulk_docs", "text/plain", 9, [415, "bad_content_type"]),
            ("PUT", "/vault/id", "application/json", 50_000_001, [413, "document_too_large"]),
        ],
    )
    def test_a_request_is_taken_or_refused(self, method: str, path: str, kind: str, size: int, refusal: list[Any] | None) -> None:
        given = self.ask(f"c.refused({json.dumps(method)}, {json.dumps(path)}, {json.dumps(kind)}, {size})")
        assert (given and given[:2]) == refusal


class TestPostgreSQL:
    def start(self, tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
        script = (IMAGES / "postgres/docker-entrypoint.sh").read_text()
        entrypoint = tmp_path / "entrypoint"
        entrypoint.write_text(script.replace("/usr/local/share/lab/contract.json", str(IMAGES / "postgres/contract.json")))
        words = ["bash", str(entrypoint), "echo", "started"]
        return subprocess.run(words, capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"], **environment})

    def test_the_catalogues_variables_are_accepted(self, tmp_path: Path) -> None:
        service = postgresql.service()
        given = {**service.environment, **service.secret_environment}
        assert any(variable.startswith("POSTGRES_") for variable in given)
        assert self.start(tmp_path, **given).stdout == "started\n"

    def test_another_is_refused(self, tmp_path: Path) -> None:
        done = self.start(tmp_path, POSTGRES_WISH="1")
        assert (done.returncode, "POSTGRES_WISH" in done.stderr) == (78, True)


def test_the_job_takes_what_the_worker_sends_and_no_other_key() -> None:
    known = document(IMAGES / "auto-fix/contract.json")["accepted"]["keys"]
    worker = (PROJECT / "images/auto-fix/worker.go").read_text()
    assert all(f'"{key}":' in worker for entry in known for key in entry.split("|"))
    words = [sys.executable, str(IMAGES / "auto-fix/job")]
    done = subprocess.run(words, input='{"wish": 1}', capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (1, "the worker sends no wish")


def test_the_sandbox_has_the_commands_that_tests_give_it_and_no_other() -> None:
    contract = Contract.load(IMAGES / "sandboxes/contract.json")
    assert contract.accepts("commands", "bash")
    assert list(contract.refused("commands", ["ls", "ffmpeg"])) == ["ffmpeg: command not found"]


@pytest.mark.parametrize(
    ("kind", "form", "wrong", "said"),
    [
        ("flags", r"\s(-[a-z][\w.]+)=", "-wish", "flag provided but not defined: -wish"),
        ("alertmanager flags", r"\s(--[a-z][\w.-]+)=", "--wish", "unknown long flag '--wish'"),
    ],
)
def test_the_rule_engines_programs_are_given_their_flags_and_no_other(kind: str, form: str, wrong: str, said: str) -> None:
    """What the real ones say of a wrong one is in tests/lab/test_monitoring.py."""
    contract = Contract.load(IMAGES / ENGINE / "contract.json")
    given = re.findall(form, (IMAGES / ENGINE / "watch.sh").read_text())
    assert given and list(contract.refused(kind, given)) == []
    assert list(contract.refused(kind, [wrong])) == [said]


class TestSenders:
    """GitHub and Meta as they send: to us, so that their events are what has a contract."""

    CONTRACT = Contract.load(SENDERS)

    @pytest.mark.parametrize(("of", "event"), [("github", issue(7, labels=("x",))), ("meta", comment("a comment"))])
    def test_an_event_has_the_keys_of_a_real_one(self, of: str, event: bytes) -> None:
        assert list(self.CONTRACT.refused(f"{of} keys", keys(json.loads(event)))) == []
        assert list(self.CONTRACT.beyond("bytes of an event", len(event))) == []

    @pytest.mark.parametrize(("of", "header"), [("github", "X-GitHub-Wish"), ("meta", "X-Hub-Wish")])
    def test_another_key_header_or_size_is_none_of_theirs(self, of: str, header: str) -> None:
        assert list(self.CONTRACT.refused(f"{of} keys", ["wish"])) == [self.CONTRACT.refusal(f"{of} keys", "wish")]
        assert list(self.CONTRACT.refused(f"{of} headers", [header])) == [self.CONTRACT.refusal(f"{of} headers", header)]
        assert list(self.CONTRACT.beyond("bytes of an event", 26_214_401)) == ["GitHub delivers no event of 26214401 bytes"]
