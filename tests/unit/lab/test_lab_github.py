"""The stand-in of GitHub: it takes a proposal step by step, and refuses what GitHub refuses."""

from typing import Any

import pytest

from lab.providers.github import BASE, REPOSITORY, GitHub, Json

HEADERS = {"authorization": "Bearer github_pat_any", "user-agent": "test"}


class Client:
    """Asks one repository."""

    def __init__(self) -> None:
        self.github = GitHub()

    def ask(self, method: str, path: str, body: Json | None = None, **query: str) -> tuple[int, Any]:
        values = {name: [value] for name, value in query.items()}
        return self.github.answer(method, f"/repos/{REPOSITORY}{path}", values, HEADERS, body or {})

    def branch(self, name: str) -> int:
        _, base = self.ask("GET", f"/git/ref/heads/{BASE}")
        return self.ask("POST", "/git/refs", {"ref": f"refs/heads/{name}", "sha": base["object"]["sha"]})[0]

    def commit(self, branch: str) -> int:
        return self.ask("PUT", "/contents/notes/7.md", {"message": "a note", "content": "bm90ZQ==", "branch": branch})[0]

    def propose(self, head: str) -> tuple[int, Any]:
        return self.ask("POST", "/pulls", {"title": "Fix #7", "head": head, "base": BASE, "body": "why"})


@pytest.fixture
def client() -> Client:
    return Client()


def test_a_proposal_is_a_branch_a_commit_and_a_pull_request(client: Client) -> None:
    assert client.branch("fix/GH-7") == 201
    assert client.commit("fix/GH-7") == 201
    status, proposal = client.propose("fix/GH-7")
    assert (status, proposal["head"]["ref"]) == (201, "fix/GH-7")
    assert client.ask("GET", "/pulls", head="Mobutoo:fix/GH-7", state="all") == (200, [proposal])
    assert client.ask("GET", "/pulls", head="Mobutoo:fix/GH-8", state="all") == (200, [])
    assert [pull.files for pull in client.github.pulls] == [("notes/7.md",)]
    assert client.ask("POST", "/issues/7/comments", {"body": "done"})[0] == 201


def test_what_github_refuses_is_refused(client: Client) -> None:
    assert client.propose("fix/GH-7")[0] == 422  # no such branch
    assert client.branch("fix/GH-7") == 201
    assert client.branch("fix/GH-7") == 422
    status, said = client.propose("fix/GH-7")
    assert (status, said["errors"][0]["message"]) == (422, "No commits between main and fix/GH-7")
    assert client.commit("elsewhere") == 422
    assert client.commit("fix/GH-7") == 201
    assert client.propose("fix/GH-7")[0] == 201
    assert client.propose("fix/GH-7")[0] == 422
    assert client.ask("POST", "/git/refs", {"ref": "refs/heads/x", "sha": "0" * 40})[0] == 422
    assert client.ask("POST", "/issues/7/comments")[0] == 422


@pytest.mark.parametrize(
    ("headers", "path", "status"),
    [
        ({"user-agent": "test"}, f"/repos/{REPOSITORY}", 401),
        ({**HEADERS, "authorization": "Bearer wrong"}, f"/repos/{REPOSITORY}", 401),
        ({**HEADERS, "user-agent": ""}, f"/repos/{REPOSITORY}", 403),
        (HEADERS, "/repos/Mobutoo/other", 404),
        (HEADERS, "/repos/mobutoo/vpai", 200),
    ],
)
def test_who_asks_for_what_is_looked_at(headers: dict[str, str], path: str, status: int) -> None:
    reply = GitHub().answer("GET", path, {}, headers, {})
    assert reply[0] == status
