"""What a drill asks of a restored service tells whole data from broken, and from none."""

import base64
from collections.abc import Mapping
from typing import Any

import pytest

from model.proof import Proof
from model.secret import Secret
from services import couchdb, n8n, qdrant
from tests.support.fleets import context

_DOCUMENT = {"_id": "a/b", "_attachments": {"note": {"length": 3}}}
_SEALED = '[{"data": {"key": "x"}}, {"data": "U2FsdGVk"}]'
_POINT = {"id": 7, "vector": [1.0]}


class Copy:
    """Answers what it is told, whatever the words around it; a question that nobody expected is a KeyError."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers

    def inside(self, service: str, *command: str) -> str:
        return str(self.answers[service])

    def secret(self, secret: Secret) -> str:
        return f"value-of-{secret.name}"

    def ask(self, port: int, path: str, headers: Mapping[str, str], body: object = None) -> Any:
        return self.answers[path.rpartition("/")[2].partition("?")[0].replace("%2F", "_")]


def _attached(content: bytes) -> Mapping[str, Any]:
    return {"_attachments": {"note": {"data": base64.b64encode(content).decode()}}}


def _listed(*documents: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"rows": [{"id": document["_id"], "doc": document} for document in documents]}


N8N, COUCHDB, QDRANT = n8n.service(context()).proof, couchdb.service().proof, qdrant.service().proof


@pytest.mark.parametrize(
    ("proof", "copy", "words", "right"),
    [
        (N8N, Copy(postgresql="0\n"), "no credential is kept", True),
        (N8N, Copy(postgresql="1\n", n8n='loud [{"data": {"key": "x"}}] end'), "1 of 1 credentials decrypt", True),
        (N8N, Copy(postgresql="2\n", n8n=_SEALED), "1 of 2 credentials decrypt", False),
        (COUCHDB, Copy(_all_docs=_listed({"_id": "_design/x"})), "no document is kept", True),
        (COUCHDB, Copy(_all_docs=_listed(_DOCUMENT), a_b=_attached(b"abc")), "1 attachment, 3 bytes read, of 1", True),
        (COUCHDB, Copy(_all_docs=_listed(_DOCUMENT), a_b=_attached(b"ab")), "1 attachment, 2 bytes read", False),
        (COUCHDB, Copy(_all_docs=_listed({"_id": "plain"}), plain={}), "0 attachments", True),
        (QDRANT, Copy(scroll={"result": {"points": []}}), "no point is kept", True),
        (QDRANT, Copy(scroll={"result": {"points": [_POINT]}}, search={"result": [{"id": 7, "score": 1.0}]}), "7 is 7", True),
        (QDRANT, Copy(scroll={"result": {"points": [_POINT]}}, search={"result": [{"id": 9, "score": 0.5}]}), "7 is 9", False),
    ],
)
def test_a_proof_tells_whole_data_from_broken_and_from_none(proof: Proof, copy: Copy, words: str, right: bool) -> None:
    found = proof(copy)
    assert words in found.words
    assert found.right is right
