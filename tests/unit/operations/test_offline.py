"""What previews without the fleet are made from: dummies, and the scan of what is published."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from model.problem import Refused
from model.secret import External
from operations.previews.converged import SECRET_KEY, secret
from operations.previews.snapshot import Snapshot, emptied, leaks
from operations.secrets.dummies import dummy
from operations.stack import CommandFailed
from services import catalogue
from stacks.inputs import CLOUD_TOKEN

VALUE = "genuine7value0of0nobody0else"
TRUE = {"redis_password": VALUE}
URN = "urn:pulumi:prod::vpai::command:local:Command::sese-task"


def resource(**outputs: object) -> dict[str, Any]:
    return {"urn": URN, "type": "command:local:Command", "inputs": {}, "outputs": outputs}


def test_every_external_secret_has_a_dummy_of_its_shape() -> None:
    for external_secret in (*catalogue.external_secrets(), CLOUD_TOKEN):
        assert isinstance(external_secret.source, External)
        assert dummy(external_secret.name, external_secret.source.pattern)
    with pytest.raises(CommandFailed, match="no dummy has the shape of other"):
        dummy("other", r"\d{3}")


@pytest.mark.parametrize(
    "leak",
    [
        VALUE,
        f"redis://litellm:{VALUE}@redis",
        json.dumps({"deep": json.dumps({"password": VALUE})}),
        base64.b64encode(VALUE.encode()).decode(),
        base64.b64encode(f"litellm:{VALUE}!".encode()).decode(),
        base64.urlsafe_b64encode(f"redis:{VALUE}".encode()).decode(),
        VALUE.encode().hex(),
        hashlib.sha256(VALUE.encode()).hexdigest(),
        f"{{SHA}}{base64.b64encode(hashlib.sha1(VALUE.encode(), usedforsecurity=False).digest()).decode()}",
        hashlib.md5(VALUE.encode(), usedforsecurity=False).hexdigest(),
    ],
)
def test_a_value_and_its_hashes_are_found_wherever_they_stand(leak: str) -> None:
    assert list(leaks([resource()], TRUE, [resource(create=leak)]))
    assert not list(leaks([resource()], TRUE, [resource(create="another")]))


def test_what_only_a_secret_leaf_held_is_found_without_knowing_its_value() -> None:
    bcrypt = "$2a$10$" + "a" * 53
    keyed = "5" * 64
    before = [resource(hash=secret(bcrypt), files=secret({"acl": f"user x #{keyed}"}))]
    assert [problem for problem in leaks(before, {}, [resource(create=bcrypt)]) if "a hash" in problem.what]
    assert [problem for problem in leaks(before, {}, [resource(create=keyed)]) if "a hash" in problem.what]
    version = [{**resource(), "inputs": {"version": keyed}}]
    assert [problem for problem in leaks(version, {}, [resource(path=f"/opt/{keyed}")]) if "keyed hash" in problem.what]


def test_a_secret_leaf_that_did_not_change_is_found() -> None:
    before = [resource(stdin=secret("some text"))]
    assert [problem for problem in leaks(before, {}, before) if "unchanged" in problem.what]
    assert not list(leaks(before, {}, [resource(stdin=secret("some other text"))]))


def test_nothing_of_a_secret_or_of_what_a_host_printed_is_left_to_start_from() -> None:
    left = emptied(resource(stdin=secret("a"), files=secret({"b": "c"}), stdout="a key", create="plain", deep=[{"x": secret(7)}]))
    assert left["outputs"] == {
        "stdin": secret(""),
        "files": secret({}),
        "stdout": "",
        "create": "plain",
        "deep": [{"x": secret(0)}],
    }
    stack = {"urn": "urn::prod", "type": "pulumi:pulumi:Stack", "outputs": {"secrets": secret({"a": "b"})}}
    assert SECRET_KEY not in json.dumps(emptied(stack))


def test_a_file_that_is_no_snapshot_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(Refused, match="is no snapshot"):
        Snapshot.at_path(tmp_path / "a.json")
    with pytest.raises(Refused, match="make fetch-snapshot"):
        Snapshot.at_path(tmp_path / "none.json")
