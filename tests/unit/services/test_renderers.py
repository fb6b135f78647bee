"""Text that goes into another language: what the edge accepts, every renderer brings over whole, and the real parser reads it.

The whole of production is rendered twice, with plain values and with the worst that each secret or setting may be, and parsed
by what the program itself reads it with, or the nearest to it; both results have to be the same but for the values.
"""

import json
import re
import subprocess
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from configparser import RawConfigParser
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pglast.parser import ParseError, parse_sql_json
from pydantic import BaseModel

from components import ssh
from model import backup_plan
from model.bucket import policy
from model.problem import Refused
from model.secret import External, Generated, Secret, json_text, references, resolve, sourced
from model.settings import HostSettings, MeshSettings, ServerSettings, Settings
from services.alloy.collection import _string
from tests.support.fleets import HOST, OPERATOR_CONFIG, host_config, inputs

PRODUCTION = inputs("prod")
SECRETS = {secret.name: secret for secret in PRODUCTION.fleet.secrets()}
WORST = "a'b\"c\\d$e{f}${g}`h`%i\U0001f642;#<>&|*?~!\u2028:\ud7ff"
HOSTILE = (*"'\"\\\n\r\t$`{}%;#<>&|*\0\u2028\U0001f642", "${HOME}", "$(id)", "{{ x }}", "\n}", "*/", "\u202e")

# What the edge accepts


def _texts(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if field.annotation is str:
            yield name


FREE: Mapping[str, str] = {
    "Settings.known_hosts": "ssh_config: test_ssh_reads_every_path_as_it_is",
    "Settings.image_lock": "a file that this program opens; shown in messages alone",
    "Settings.certificate_authority": "a directory that this program opens",
    "Settings.authorized_keys": "a file that this program opens",
    "Settings.bucket_principal": "JSON of a bucket's policy: test_a_bucket_policy_is_json_whatever_its_principal",
}
"""Settings that take any text, and where it goes."""


def _given(field: str, text: str) -> Mapping[str, object]:
    hosts = json.loads(host_config("prod"))
    raw: dict[str, object] = {"kind": "production", **OPERATOR_CONFIG, "hosts": hosts, "knownHosts": "hosts/prod.known_hosts"}
    model, _, name = field.partition(".")
    key = "".join(part.title() if number else part for number, part in enumerate(name.split("_")))
    match model:
        case "Settings":
            raw[key] = text
        case "HostSettings":
            raw["hosts"] = {"sese": {"address": "203.0.113.10", "memoryMib": 4096, key: text}}
        case "ServerSettings":
            raw["hosts"] = {"sese": {"server": {key: text}}}
        case "MeshSettings":
            mesh = {"server": "mesh.example.org", "domain": "hosts.example.org", key: text}
            raw["hosts"] = {"sese": {"address": "203.0.113.10", "memoryMib": 4096, "mesh": mesh}}
    return raw


MODELS: Mapping[str, type[BaseModel]] = {
    "Settings": Settings,
    "HostSettings": HostSettings,
    "ServerSettings": ServerSettings,
    "MeshSettings": MeshSettings,
}
FIELDS = [f"{room}.{name}" for room, model in MODELS.items() for name in _texts(model)]


@pytest.mark.parametrize("field", FIELDS)
def test_a_setting_that_goes_into_another_language_takes_no_character_of_it(field: str) -> None:
    room, _, name = field.partition(".")
    known = MODELS[room].model_fields[name]
    sound = str((known.examples or [""])[0])
    taken = []
    for text in (f"{before}{bad}{after}" for bad in HOSTILE for before, after in ((sound, ""), ("", sound), (sound, sound))):
        try:
            Settings.parse(_given(field, text), "prod")
        except Refused:
            continue
        taken.append(text)
    assert bool(taken) == (field in FREE), taken


def test_every_setting_that_takes_any_text_is_there() -> None:
    assert FREE.keys() <= set(FIELDS)


@pytest.mark.parametrize("name", sorted(name for name, secret in SECRETS.items() if isinstance(secret.source, External)))
def test_no_character_that_would_need_to_be_escaped_is_in_what_others_issue(name: str) -> None:
    source = SECRETS[name].source
    assert isinstance(source, External)
    # A file of its own, in its own form.
    taken = [bad for bad in HOSTILE if re.fullmatch(source.pattern, "1234567:" + "a" * 40 + bad)]
    assert taken == [] or name == "certificate_authority_key"


# What is rendered


@dataclass(frozen=True)
class Text:
    """What is written on a host: for whom, under which name, and with which references to secrets."""

    service: str
    name: str
    content: str


def texts() -> Iterator[Text]:
    """All of production."""
    for placement in PRODUCTION.fleet.placements:
        for service in placement.services:
            for file in service.configuration.files if service.configuration else ():
                yield Text(service.name, file.path, file.content)
            for task in service.tasks:
                yield Text(service.name, f"task:{task.command[0]}", task.stdin or "")
                yield Text(service.name, "words", json.dumps(task.command))
            variables = {**service.environment, **service.secret_environment}
            yield Text(service.name, "variables", sourced(variables))
        if placement.backup:
            yield Text("backup", "secrets.json", backup_plan.secrets(placement))
            yield Text("backup", "plan.json", backup_plan.plan(placement, stack="prod", project="javisi", image="restic"))


def _json(text: str) -> Any:
    return json.loads(text)


def _yaml(text: str) -> Any:
    return yaml.safe_load(text)


def _whole(text: str) -> Any:
    """A file that holds one value, or is read by a program of ours as it is."""
    return text


def _ini(text: str) -> Any:
    parser = RawConfigParser(strict=True)
    parser.read_string(text)
    return {section: dict(parser[section]) for section in parser.sections()}


def _variables(text: str) -> Any:
    """As sh reads the file that `sourced` writes."""
    script = "set -a; . /dev/stdin; exec env -0"
    done = subprocess.run(["env", "-i", "sh", "-c", script], input=text.encode(), capture_output=True, check=True)
    return done.stdout.decode().split("\0")


def _bash(text: str) -> Any:
    """The script's words, quotes removed, as bash itself splits them: one line each, nothing run."""
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    return text


def _n8n(text: str) -> Any:
    """What provision() is called with."""
    script, _, call = text.rpartition("\nawait provision(")
    reported = f"{script}\nconsole.log(JSON.stringify([{call.removesuffix(');' + chr(10))}]));"
    done = subprocess.run(["node", "--input-type=module"], input=reported, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def _sql(text: str) -> Any:
    """What PostgreSQL's own parser makes of each statement, and of those that psql's \\gexec runs."""
    statements = re.sub(r"^\\connect \w+$", "", text, flags=re.MULTILINE).replace(" \\gexec\n", ";\n")
    tree = _without_places(json.loads(parse_sql_json(statements)))
    creations = [word for word in _sql_strings(tree) if word.startswith("CREATE ")]
    assert len(creations) == text.count(" \\gexec\n")
    return [tree, *(_without_places(json.loads(parse_sql_json(statement))) for statement in creations)]


def _without_places(tree: Any) -> Any:
    """Where in the text something stands depends on the values' lengths."""
    if isinstance(tree, dict):
        places = ("location", "stmt_location", "stmt_len")
        return {name: _without_places(value) for name, value in tree.items() if name not in places}
    return [_without_places(value) for value in tree] if isinstance(tree, list) else tree


def _sql_strings(tree: Any) -> Iterator[str]:
    if isinstance(tree, dict):
        yield from ([tree["sval"]] if isinstance(tree.get("sval"), str) else ())
        tree = list(tree.values())
    if isinstance(tree, list):
        for inner in tree:
            yield from _sql_strings(inner)


def _http_words(text: str) -> Any:
    return text.split()


KINDS: Mapping[tuple[str, str], Callable[[str], Any]] = {
    ("*", r".*\.json"): _json,
    ("*", r".*\.ya?ml"): _yaml,
    ("*", "variables"): _variables,
    ("*", "words"): _json,
    ("*", r".*\.ini"): _ini,
    ("postgresql", "task:psql"): _sql,
    ("n8n", "task:node"): _n8n,
    ("uptime-kuma", "task:node"): _json,
    ("couchdb", "task:bash"): _bash,
    ("qdrant", "task:bash"): _bash,
    ("couchdb", r"probe\.curl"): _whole,
    ("redis", r"redis\.conf|users\.acl"): _http_words,
    ("postgresql", r"postgresql\.conf|pg_hba\.conf"): _whole,
    ("caddy", "Caddyfile"): _whole,  # By Caddy itself: tests/engine/test_caddyfile.py.
    # tests/unit/services/test_front_page.py, and the questions by VictoriaMetrics itself: tests/lab/test_front_page.py
    ("caddy", r"front/[a-z]+\.(html|css|js|svg|promql)"): _whole,
    ("alloy", r"config\.alloy"): _whole,  # tests/unit/lab/test_alloy_stand_in.py, test_alloys_strings_are_gos
    ("litellm", r".*\.py"): _whole,
    ("openclaw", r".*\.js"): _whole,
    ("grafana", "task:grafana"): _whole,
    ("*", r"[a-z0-9_.-]*(password|key|secret|token)"): _whole,
    ("*", r"root\.(crt|key)"): _whole,
}


def _parser(text: Text) -> Callable[[str], Any]:
    for (service, name), parse in KINDS.items():
        if service in ("*", text.service) and re.fullmatch(name, text.name):
            return parse
    raise AssertionError(f"no parser for {text.service}'s {text.name}: say in KINDS what reads it")


TEXTS = list({(text.service, text.name, text.content): text for text in texts()}.values())


def test_every_text_that_is_written_on_a_host_has_a_parser_here() -> None:
    assert len(TEXTS) > 80
    assert len({_parser(text) for text in TEXTS}) > 5


def plain(secret: Secret) -> str:
    return f"plain{secret.name.replace('_', '')}12345678"


def worst(secret: Secret) -> str:
    """The worst that a secret may be: what is irreplaceable may come out of a recovery kit, of whatever program made it."""
    if secret.irreplaceable:
        return WORST
    if isinstance(secret.source, Generated):
        return f"{secret.source.prefix}{secret.name.replace('_', '')}0aZ"
    kinds = ("~:/@+=-._" + secret.name, "1234567:" + "-_" * 20, "-1234567890", "t" * 64)
    return next(kind for kind in kinds if re.fullmatch(secret.source.pattern, kind))


def replaced(tree: Any, values: Mapping[str, tuple[str, str]]) -> Any:
    """`tree` with each plain value replaced by the worst."""
    if isinstance(tree, dict):
        return {replaced(name, values): replaced(value, values) for name, value in tree.items()}
    if isinstance(tree, list):
        return [replaced(value, values) for value in tree]
    if isinstance(tree, str):
        for before, after in values.values():
            tree = tree.replace(before, after)
    return tree


@pytest.mark.parametrize(
    "text", [pytest.param(text, id=f"{text.service}-{text.name}") for text in TEXTS if references(text.content)]
)
def test_what_a_secret_may_hold_changes_nothing_but_itself(text: Text) -> None:
    known = {name: SECRETS[name] for name in references(text.content)}
    parse = _parser(text)
    before = parse(resolve(text.content, {name: plain(secret) for name, secret in known.items()}))
    after = parse(resolve(text.content, {name: worst(secret) for name, secret in known.items()}))
    pairs = {name: (plain(secret), worst(secret)) for name, secret in known.items()}
    if text.name == "secrets.json":
        # Tasks in it are texts of a language of their own, and hold their services' secrets once more escaped.
        tasks = [task["stdin"] or "" for service in after["tasks"].values() for task in service]
        assert all(_n8n(task)[0]["password"] == WORST for task in tasks if "await provision(" in task)
        del before["tasks"], after["tasks"], before["fingerprints"], after["fingerprints"]
    assert "sha256" in text.content or after == replaced(before, pairs)
    # Where it stands bare, it has to be of letters and digits.
    bare = parse in (_bash, _sql, _http_words, _ini)
    assert [name for name in known if bare and not worst(SECRETS[name]).isalnum()] == []


@settings(max_examples=60, deadline=None)
@given(st.text(), st.integers(1, 3))
@example(WORST, 2)
@example("${secret:other|sh}", 1)
def test_a_secret_fits_into_json_into_json_into_a_variable(value: str, depth: int) -> None:
    value = value.replace("\0", "")
    document: object = f"before {Secret(name='x', source=Generated())} after"
    for _ in range(depth):
        document = json_text({"inside": document})
    read: Any = resolve(str(document), {"x": value})
    for _ in range(depth):
        read = json.loads(read)["inside"]
    assert read == f"before {value} after"


def test_a_json_document_fits_into_a_variable_of_the_shell() -> None:
    secret = Secret(name="x", source=Generated())
    file = sourced({"DOCUMENT": json_text({"it's": f"{secret}"})})
    [line] = [line for line in _variables(resolve(file, {"x": WORST})) if line.startswith("DOCUMENT=")]
    assert json.loads(line.removeprefix("DOCUMENT=")) == {"it's": WORST}


@pytest.mark.parametrize("bad", HOSTILE)
def test_postgresqls_parser_takes_a_password_whole_unless_it_has_what_ends_it(bad: str) -> None:
    """And that, a quotation mark or NUL, is in no generated password: letters and digits, see `Generated`."""
    [text] = [text.content for text in TEXTS if text.name == "task:psql" and "litellm" in text.content]
    [name] = references(text)
    value = f"a{bad}b"
    try:
        found = _sql(resolve(text, {name: value}))
    except ParseError:
        found = None
    whole = found == replaced(_sql(resolve(text, {name: "aB9"})), {name: ("aB9", value)})
    assert whole == (not {"'", "\0"} & set(bad))


# Settings in their files


@pytest.mark.parametrize("name", ["known hosts", 'quo"te', "back\\slash", "per%cent %h", "ümlaut🙂", "it's", "#x"])
def test_ssh_reads_every_path_as_it_is(name: str, tmp_path: Path) -> None:
    directory = tmp_path / name
    directory.mkdir()
    known = directory / "known_hosts"
    config = ssh.write_client_config(directory / ".vpai", [HOST], known)
    done = subprocess.run(["ssh", "-G", "-F", config, "sese"], capture_output=True, text=True, check=True)
    found = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    # ssh -G shows a path before it replaces tokens in it.
    assert found["userknownhostsfile"].replace("%%", "%") in (str(known), ssh._quoted(known).strip('"').replace("%%", "%"))


def test_a_bucket_policy_is_json_whatever_its_principal() -> None:
    principal = "arn:aws:iam:::user/p1:{key}" + WORST.replace("{", "").replace("}", "")
    wanted = inputs("prod", bucketPrincipal=principal).fleet.buckets
    policies = [policy(bucket) for bucket in wanted]
    assert any(policies)
    for text in filter(None, policies):
        assert json.loads(text)["Statement"]


_GO = re.compile(r'"(?:[^"\\\n\ufeff\ud800-\udfff]|\\[abfnrtv\\"]|\\x[0-9a-f]{2}|\\u(?!d[89a-f])[0-9a-f]{4})*"', re.IGNORECASE)
"""A string of Go's specification ("String literals", interpreted), which is Alloy's (grafana/alloy, syntax/scanner).

Neither allows a bare byte order mark.
"""


@pytest.mark.parametrize("text", [WORST, "\n}\n", "\x00\x1f\x7f", "\ufeff-----BEGIN", b64encode(b"x" * 99).decode()])
def test_alloys_strings_are_gos(text: str) -> None:
    assert _GO.fullmatch(_string(text)), _string(text)
    assert json.loads(_string(text)) == text
