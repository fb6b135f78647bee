"""`python -m operations.reference.configuration`: writes the declarations in Pulumi.yaml, and the JSON Schema of stack files.

Both come from the settings (model/settings.py) and the catalogue's secrets, which are what the program reads.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from copy import copy
from typing import Any

import yaml

from model.secret import External, Secret
from model.settings import Settings
from operations.stack import PROJECT
from services import catalogue, storage
from stacks.inputs import CLOUD_TOKEN

PROJECT_FILE = PROJECT / "Pulumi.yaml"
SCHEMA_FILE = PROJECT / "docs/reference/stack.schema.json"
HEADER = f"# yaml-language-server: $schema={SCHEMA_FILE.relative_to(PROJECT)}\n"
"""First line of a Pulumi.<stack>.yaml, by which an editor with yaml-language-server completes and checks the file."""
_NAMESPACE = "vpai:"
_ENGINES: Mapping[str, str] = {
    "encryptionsalt": "the engine's: belongs to the stack's passphrase, no secret",
    "secretsprovider": "the engine's: who encrypts the secrets, where it is not a passphrase",
    "encryptedkey": "the engine's: the key of that provider, encrypted",
    "environment": "the engine's: environments of Pulumi ESC",
}
"""Keys beside `config:`. Source: pulumi v3.259.0, sdk/go/common/workspace/project.go, ProjectStack."""
_EMPTY: Mapping[str, Any] = {"string": "", "array": [], "object": {}}
_HEAD = """\
config:
  # Written by `make docs` from model/settings.py and the secrets of services/; do not edit. An empty default means "not set":
  # the program then lists everything that is missing at once. A secret is set with `pulumi config set --secret`; the program
  # refuses plain ones. (`secret: true` here would make the engine refuse the empty default.)
"""


def main() -> int:
    """Write both files."""
    PROJECT_FILE.write_text(project_file(PROJECT_FILE.read_text()))
    SCHEMA_FILE.write_text(schema_file())
    return 0


def project_file(text: str) -> str:
    """Pulumi.yaml with every key that a stack may set: type, default and meaning."""
    above, found, _ = text.partition("\nconfig:\n")
    assert found, "Pulumi.yaml has no config: any more"
    declared = yaml.safe_dump(dict(_declared()), sort_keys=False, allow_unicode=True, width=130)
    return f"{above}\n{_HEAD}" + "".join(f"  {line}\n" for line in declared.splitlines())


def schema_file() -> str:
    """The schema as text."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def schema() -> Mapping[str, Any]:
    """JSON Schema (draft 2020-12) of a Pulumi.<stack>.yaml."""
    whole = _settings()
    settings = {f"{_NAMESPACE}{key}": _written(setting) for key, setting in whole["properties"].items()}
    secrets = {f"{_NAMESPACE}{secret.name}": {**_SECURE, "description": _meaning(secret)} for secret in _secrets()}
    config = {
        "type": "object",
        "properties": {**settings, **secrets},
        "patternProperties": {
            f"^{_NAMESPACE}{storage.BACKUP_KEY.pattern}$": {**_SECURE, "description": "Half of the key of a host's backups"},
            f"^(?!{_NAMESPACE})": {},  # keys of the engine and its providers
        },
        "additionalProperties": False,
        "required": [f"{_NAMESPACE}{key}" for key in whole["required"]],
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Pulumi.<stack>.yaml of this project; written by `make docs`, do not edit",
        "type": "object",
        "properties": {"config": config, **{name: {"description": text} for name, text in _ENGINES.items()}},
        "additionalProperties": False,
        "required": ["config"],
        "$defs": {**{name: _written(definition) for name, definition in whole["$defs"].items()}, "Encrypted": _ENCRYPTED},
    }


_ENCRYPTED: Mapping[str, Any] = {
    "type": "object",
    "properties": {"secure": {"type": "string", "minLength": 1}},
    "required": ["secure"],
    "additionalProperties": False,
}
"""A value that `pulumi config set --secret` wrote."""
_SECURE: Mapping[str, Any] = {"$ref": "#/$defs/Encrypted"}
_AS_TEXT: Mapping[str, Mapping[str, Any]] = {
    "integer": {"type": "string", "pattern": "^-?(0|[1-9][0-9]*)$"},
    "boolean": {"enum": ["true", "false"]},
}
"""`pulumi config set` without --path writes every value as text."""
_FORMATS: Mapping[str, str] = {
    "ipv4": r"^[0-9]{1,3}([.][0-9]{1,3}){3}$",
    "ipv4network": r"^[0-9]{1,3}([.][0-9]{1,3}){3}(/[0-9]{1,2})?$",
}
"""Patterns for validators that ignore `format`."""


def _settings() -> Mapping[str, Any]:
    """pydantic's schema, with enumerations written out where they are used."""
    whole = Settings.model_json_schema(by_alias=True)
    words = {
        f"#/$defs/{name}": {"type": definition["type"], "enum": definition["enum"]}
        for name, definition in whole["$defs"].items()
        if "enum" in definition
    }

    def inlined(of: Any) -> Any:
        if isinstance(of, list):
            return [inlined(item) for item in of]
        if not isinstance(of, dict):
            return of
        rest = {key: inlined(value) for key, value in of.items()}
        return {**words[rest.pop("$ref")], **rest} if rest.get("$ref") in words else rest

    defined = {name: definition for name, definition in whole["$defs"].items() if "enum" not in definition}
    found: Mapping[str, Any] = inlined({**whole, "$defs": defined})
    return found


def _secrets() -> tuple[Secret, ...]:
    return (*catalogue.external_secrets(), CLOUD_TOKEN)


def _meaning(secret: Secret) -> str:
    assert isinstance(secret.source, External)
    return f"{'Optional secret' if secret.source.optional else 'Secret'}; get it: {secret.source.obtain}"


def _declared() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Declarations in the engine's form: pulumi v3.259.0, sdk/go/common/workspace/project.json, configTypeDeclaration."""
    for key, setting in _settings()["properties"].items():
        items = {"items": {"type": setting["items"]["type"]}} if setting["type"] == "array" else {}
        default = copy(setting.get("default", _EMPTY.get(setting["type"])))  # a shared object would be written as a YAML anchor
        yield f"{_NAMESPACE}{key}", {"type": setting["type"], **items, "default": default, "description": setting["description"]}
    for secret in _secrets():
        yield f"{_NAMESPACE}{secret.name}", {"type": "string", "default": "", "description": _meaning(secret)}


def _written(each: Mapping[str, Any]) -> Any:
    """Turn pydantic's schema into the file's: numbers and booleans may be text there, and a value may be encrypted."""
    kind = each.get("type")
    reported = {key: each[key] for key in ("description", "default") if key in each}
    if "examples" in each:
        reported["examples"] = [text if kind == "string" else yaml.safe_load(text) for text in each["examples"]]
    if each.get("format") == "password":
        return {**_SECURE, **reported}
    rules = {key: value for key, value in each.items() if key not in ("title", "description", "default", "examples")}
    if kind == "object":
        for key in ("properties", "patternProperties"):
            if key in rules:
                rules[key] = {name: _written(of) for name, of in rules[key].items()}
        if isinstance(rules.get("additionalProperties"), dict):
            rules["additionalProperties"] = _written(rules["additionalProperties"])
        elif "patternProperties" in rules:
            rules["additionalProperties"] = False
        return {**reported, **rules}
    if kind == "array":
        return {**reported, **rules, "items": _written(rules["items"])}
    if kind is None:
        return {**reported, **rules}
    if pattern := _FORMATS.get(rules.pop("format", "")):
        rules["pattern"] = pattern
    return {**reported, "anyOf": [rules, *([_AS_TEXT[kind]] if kind in _AS_TEXT else []), _SECURE]}


if __name__ == "__main__":
    sys.exit(main())
