"""Stands in for GitHub's REST API as far as a program needs it that proposes a change: one repository with branches, files, pull
requests and comments, kept in memory. Refusals have the form that GitHub's have in gm3dmo/the-power#175 (2024) and #16 (2022) and
shepherd-tools/shepherd#51 (2018); no client here depends on their words.
"""

import hashlib
import re
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

HOST = "api.github.com"
REPOSITORY = "Mobutoo/VPAI"
BASE = "main"

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
        self, method: str, path: str, query: Mapping[str, list[str]], headers: Mapping[str, str], body: Json
    ) -> Reply | None:
        """None for what this stand-in does not have."""
        if not headers.get("user-agent"):
            return 403, {"message": "a request without a User-Agent is refused"}
        token = headers.get("authorization", "").removeprefix("Bearer ").removeprefix("token ").strip()
        if not token or token == "wrong":  # noqa: S105 - a token that tests send to be refused
            return 401, {"message": "Bad credentials", "status": "401"}
        found = re.fullmatch(r"/repos/([^/]+/[^/]+)(/.*)?", path)
        if not found:
            return None
        if found[1].lower() != REPOSITORY.lower():
            return 404, {"message": "Not Found", "status": "404"}
        with self._lock:
            return self._ask(method, found[2] or "", {name: values[0] for name, values in query.items()}, body)

    def _ask(self, method: str, path: str, query: Mapping[str, str], body: Json) -> Reply | None:
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
            case "POST", ["issues", number, "comments"] if number.isdigit() and body.get("body"):
                self.comments.append(Comment(time.time(), int(number), str(body["body"])))
                return 201, {"id": len(self.comments), "body": body["body"]}
        return None

    def _reference(self, name: str) -> Reply:
        if name not in self.branches:
            return 404, {"message": "Not Found", "status": "404"}
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
        if branch not in self.branches or not body.get("message") or "content" not in body:
            return _invalid({"resource": "Content", "field": "branch", "code": "invalid"})
        self.files.setdefault(branch, []).append(path)
        self.branches[branch] = _sha(f"{branch} {path} {body['content']}")
        return 201, {"content": {"path": path}, "commit": {"sha": self.branches[branch], "message": body["message"]}}

    def _propose(self, body: Json) -> Reply:
        head, base = str(body.get("head")), str(body.get("base"))
        if head not in self.branches or base not in self.branches or not body.get("title"):
            return _invalid({"resource": "PullRequest", "field": "head", "code": "invalid"})
        if self.branches[head] == self.branches[base]:
            return _invalid(_told(f"No commits between {base} and {head}"))
        if any(pull.head == head for pull in self.pulls):
            return _invalid(_told(f"A pull request already exists for {REPOSITORY.partition('/')[0]}:{head}."))
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


def _invalid(error: Mapping[str, str]) -> Reply:
    return 422, {"message": "Validation Failed", "errors": [dict(error)], "status": "422"}


def _told(message: str) -> Mapping[str, str]:
    return {"resource": "PullRequest", "code": "custom", "message": message}


def _sha(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
