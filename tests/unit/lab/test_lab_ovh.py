"""The stand-in of OVH: nothing without a signature of what was sent, and nothing published before the zone's refresh."""

import hashlib
import json
from typing import Any

import dns.message
import pytest

from lab.layout import DOMAIN
from lab.providers.ovh import APPLICATION_KEY, APPLICATION_SECRET, CONSUMER_KEY, HOST, ZONE, Ovh

ZONE_URL = f"https://{HOST}/1.0/domain/zone/{ZONE}"
TXT = {"fieldType": "TXT", "subDomain": "_acme-challenge.llm", "target": "proof", "ttl": 60}


class Client:
    """Asks as go-ovh does; `changes` are made to what was signed."""

    def __init__(self) -> None:
        self.ovh = Ovh(now=lambda: 1_000_000.0)

    def ask(
        self, method: str, url: str, body: Any = None, *, secret: str = APPLICATION_SECRET, **changes: str
    ) -> tuple[int, Any]:
        data = json.dumps(body) if body else ""
        stamp = changes.get("timestamp", "1000000")
        signed = f"{secret}+{CONSUMER_KEY}+{method}+{url}+{data}+{stamp}"
        headers = {
            "x-ovh-application": changes.get("application", APPLICATION_KEY),
            "x-ovh-consumer": changes.get("consumer", CONSUMER_KEY),
            "x-ovh-timestamp": stamp,
            "x-ovh-signature": "$1$" + hashlib.sha1(signed.encode(), usedforsecurity=False).hexdigest(),
        }
        sent = changes.get("sent", url)
        return self.ovh.answer(method, sent, headers, changes.get("data", data).encode())

    def texts(self, name: str) -> list[str]:
        answer = self.ovh.resolve(dns.message.make_query(name, "TXT")).answer
        return [str(record) for records in answer for record in records]


@pytest.fixture
def client() -> Client:
    return Client()


def test_the_zone_is_the_labs() -> None:
    assert ZONE == DOMAIN


def test_a_record_is_served_from_the_refresh_on_and_until_the_one_after_its_end(client: Client) -> None:
    name = f"_acme-challenge.llm.{ZONE}"
    status, record = client.ask("POST", f"{ZONE_URL}/record", TXT)
    assert status == 200
    assert client.ask("GET", f"{ZONE_URL}/record?fieldType=TXT&subDomain=_acme-challenge.llm") == (200, [record["id"]])
    assert client.ask("GET", f"{ZONE_URL}/record?fieldType=TXT&subDomain=other") == (200, [])
    assert client.texts(name) == []
    client.ask("POST", f"{ZONE_URL}/refresh")
    assert client.texts(name.upper()) == ['"proof"']
    assert client.ask("DELETE", f"{ZONE_URL}/record/{record['id']}")[0] == 200
    assert client.texts(name) == ['"proof"']
    client.ask("POST", f"{ZONE_URL}/refresh")
    assert client.texts(name) == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"secret": "another"}, "INVALID_SIGNATURE"),
        ({"sent": f"{ZONE_URL}/record?fieldType=A"}, "INVALID_SIGNATURE"),
        ({"data": json.dumps({**TXT, "target": "theirs"})}, "INVALID_SIGNATURE"),
        ({"application": "another"}, "INVALID_KEY"),
        ({"consumer": "another"}, "INVALID_CREDENTIAL"),
        ({"timestamp": "999900"}, "QUERY_TIME_OUT"),
    ],
)
def test_what_was_not_signed_like_this_is_refused_and_changes_nothing(client: Client, changes: dict[str, str], code: str) -> None:
    status, document = client.ask("POST", f"{ZONE_URL}/record", TXT, **changes)
    assert (status >= 400, document["errorCode"]) == (True, code)
    assert client.ovh.records == {}


def test_another_zone_is_nobodys(client: Client) -> None:
    assert client.ask("GET", f"https://{HOST}/1.0/domain/zone/example.org/record")[0] == 404
