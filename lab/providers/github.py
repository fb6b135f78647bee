"""Stands in for GitHub's REST API as far as a program needs it that proposes a change: one repository with branches, files, pull
requests and comments, kept in memory. What it accepts, with sources: contracts/api.github.com.json. Refusals of a state (a branch
that is there, no commits between two) have the form of those in gm3dmo/the-power#175 (2024) and #16 (2022) and
shepherd-tools/shepherd#51 (2018); no client here depends on their words.
"""

import base64
import hashlib
import json
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lab.providers.api import Api, Refused

HOST = "api.github.com"
REPOSITORY = "Mobutoo/VPAI"
BASE = "main"
API = Api.of(HOST)

Json = dict[str, Any]
Reply = tuple[int, Json | list[Json]]


@dataclass(frozen=True)
class Pull:
    """A pull request as it was opened."""

    time: float
    number: int
    head: str
    base: str
    title: str
    body: str
    files: tuple[str, ...]
    """What its branch changed."""


@dataclass(frozen=True)
class Comment:
    """What was said at an issue."""

    time: float
    issue: int
    body: str


@dataclass
class GitHub:
    """The repository. Methods answer with a status and a document."""

    branches: dict[str, str] = field(default_factory=lambda: {BASE: _sha(BASE)})
    files: dict[str, list[str]] = field(default_factory=dict)
    """The files that each branch changed, in the order of its commits."""
    pulls: deque[Pull] = field(default_factory=lambda: deque(maxlen=10_000))
    comments: deque[Comment] = field(default_factory=lambda: deque(maxlen=10_000))
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _numbered: int = 1000

    def answer(
        self, method: str, path: str, query: Mapping[str, list[str]], headers: Mapping[str, str], body: Json, data: bytes = b""
    ) -> Reply:
        token = headers.get("authorization", "").removeprefix("Bearer ").removeprefix("token ").strip()
        given = {name: values[0] for name, values in query.items()}
        refused = (
            (None if headers.get("user-agent") else API.refusal("no user-agent"))
            or (None if token and token != "wrong" else API.refusal("credentials"))  # noqa: S105 - one that tests send
            or API.path(method, path)
            or (API.refusal("paths", path) if not path.lower().startswith(f"/repos/{REPOSITORY}".lower()) else None)
            or API.query(method, path, given)
            or (API.unless("states", given["state"]) if "state" in given else None)
            or (API.refusal("json") if data and not _is_json(data) else None)
            or (API.body(method, path, body, headers) if method in ("POST", "PUT") else None)
            or _too_long(path, body)
        )
        if refused:
            return refused.status, _document(refused)
        with self._lock:
            return self._ask(method, path[len(f"/repos/{REPOSITORY}") :], given, body)

    def _ask(self, method: str, path: str, query: Mapping[str, str], body: Json) -> Reply:
        match method, path.split("/")[1:]:
            case "GET", []:
                return 200, {"full_name": REPOSITORY, "default_branch": BASE, "private": False}
            case "GET", ["git", "ref", "heads", *name]:
                return self._reference("/".join(name))
            case "POST", ["git", "refs"]:
                return self._branch(str(body.get("ref")), str(body.get("sha")))
            case "PUT", ["contents", *name] if name:
                return self._write("/".join(name), body)
            case "GET", ["pulls"]:
                owner = REPOSITORY.partition("/")[0]
                pulls = [pull for pull in self.pulls if query.get("head") in (None, f"{owner}:{pull.head}")]
                return 200, [_pull(pull) for pull in pulls]
            case "POST", ["pulls"]:
                return self._propose(body)
            case "POST", ["issues", number, "comments"]:
                self.comments.append(Comment(time.time(), int(number), str(body["body"])))
                return 201, {"id": len(self.comments), "body": body["body"]}
        return 404, _document(API.refusal("paths", path))

    def _reference(self, name: str) -> Reply:
        if name not in self.branches:
            return 404, _document(API.refusal("paths", name))
        return 200, {"ref": f"refs/heads/{name}", "object": {"type": "commit", "sha": self.branches[name]}}

    def _branch(self, ref: str, sha: str) -> Reply:
        name = ref.removeprefix("refs/heads/")
        if not ref.startswith("refs/heads/") or sha not in self.branches.values():
            return _invalid({"resource": "Reference", "field": "ref", "code": "invalid"})
        if name in self.branches:
            return 422, {"message": "Reference already exists", "status": "422"}
        self.branches[name] = sha
        return 201, {"ref": ref, "object": {"type": "commit", "sha": sha}}

    def _write(self, path: str, body: Json) -> Reply:
        branch = str(body.get("branch") or BASE)
        if branch not in self.branches:
            return _invalid({"resource": "Content", "field": "branch", "code": "invalid"})
        try:
            base64.b64decode(str(body["content"]), validate=True)
        except ValueError:
            refused = API.refusal("content")
            return refused.status, _document(refused)
        self.files.setdefault(branch, []).append(path)
        self.branches[branch] = _sha(f"{branch} {path} {body['content']}")
        return 201, {"content": {"path": path}, "commit": {"sha": self.branches[branch], "message": body["message"]}}

    def _propose(self, body: Json) -> Reply:
        head, base = str(body.get("head")), str(body.get("base"))
        if head not in self.branches or base not in self.branches or not body.get("title"):
            return _invalid({"resource": "PullRequest", "field": "head", "code": "invalid"})
        if self.branches[head] == self.branches[base]:
            return _invalid(_reported(f"No commits between {base} and {head}"))
        if any(pull.head == head for pull in self.pulls):
            return _invalid(_reported(f"A pull request already exists for {REPOSITORY.partition('/')[0]}:{head}."))
        self._numbered += 1
        files = tuple(self.files.get(head, ()))
        pull = Pull(time.time(), self._numbered, head, base, str(body["title"]), str(body.get("body") or ""), files)
        self.pulls.append(pull)
        return 201, _pull(pull)


def _pull(pull: Pull) -> Json:
    return {
        "number": pull.number,
        "state": "open",
        "title": pull.title,
        "body": pull.body,
        "html_url": f"https://github.com/{REPOSITORY}/pull/{pull.number}",
        "head": {"ref": pull.head},
        "base": {"ref": pull.base},
    }


def _is_json(data: bytes) -> bool:
    try:
        return isinstance(json.loads(data), dict)
    except ValueError:
        return False


def _too_long(path: str, body: Json) -> Refused | None:
    title, text = body.get("title"), str(body.get("body") or "")
    # A pull request may do without a body, and a comment may not.
    spoken = path.endswith("/comments") or bool(text)
    return (API.beyond("characters of a title", len(str(title))) if title is not None else None) or (
        API.beyond("characters of a comment", len(text)) if spoken else None
    )


def _document(refused: Refused) -> Json:
    """A refusal as GitHub writes it; of a value it is one of the errors."""
    if refused.kind in API.contract.limits:
        return {"message": "Validation Failed", "errors": [{"code": "custom", "message": refused.words}], "status": "422"}
    return {"message": refused.words, "status": str(refused.status)}


def _invalid(error: Mapping[str, str]) -> Reply:
    return 422, {"message": "Validation Failed", "errors": [dict(error)], "status": "422"}


def _reported(message: str) -> Mapping[str, str]:
    return {"resource": "PullRequest", "code": "custom", "message": message}


def _sha(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
