"""Stands in for OVH: its API as far as libdns/ovh asks it to prove a name, and the name servers of the zone it edits.

Signatures are checked as go-ovh 1.7 makes them. A record is published by the `refresh` that follows it, as OVH does it. What it
accepts and in which words it refuses, with sources: contracts/eu.api.ovh.com.json.
"""

import hashlib
import hmac
import json
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from socketserver import BaseRequestHandler, StreamRequestHandler, ThreadingTCPServer, ThreadingUDPServer
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from lab.providers.api import Api, Refused

HOST = "eu.api.ovh.com"
ZONE = "vpai.test"
APPLICATION_KEY, APPLICATION_SECRET, CONSUMER_KEY = "1ab0ab0ab0ab0ab1", "1ab" * 10 + "01", "1ab" * 10 + "02"
"""Not secret: they open this stand-in and nothing else. Pulumi.lab.yaml has them too."""
API = Api.of(HOST)

Json = dict[str, Any]
Reply = tuple[int, Any]


@dataclass(frozen=True)
class Record:
    """One of a zone's; `subDomain` and `fieldType` are OVH's names."""

    id: int
    zone: str
    subDomain: str  # noqa: N815
    fieldType: str  # noqa: N815
    target: str
    ttl: int


@dataclass(frozen=True)
class Published:
    """A record that name servers came to answer with."""

    time: float
    sub_domain: str
    kind: str


@dataclass
class Ovh:
    """One zone and one application with a key to it."""

    zone: str = ZONE
    now: Callable[[], float] = time.time
    records: dict[int, Record] = field(default_factory=dict)
    """What the API knows."""
    served: dict[int, Record] = field(default_factory=dict)
    """What the name servers know: the records at the last refresh."""
    published: deque[Published] = field(default_factory=lambda: deque(maxlen=10_000))
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _numbered: int = 5_000_000_000

    def answer(self, method: str, url: str, headers: Mapping[str, str], data: bytes) -> Reply:
        """Status and document. `url` is the whole one, as it was asked."""
        path, _, question = re.sub(r"^https?://[^/]+/1\.0", "", url).partition("?")
        if (method, path) == ("GET", "/auth/time"):
            return 200, int(self.now())
        asked = dict(pair.partition("=")[::2] for pair in question.split("&") if pair)
        refused = (
            self._refusal(method, url, headers, data)
            or API.path(method, path)
            or (API.refusal("zone") if path.split("/")[3] != self.zone else None)
            or API.query(method, path, asked)
            or (API.body(method, path, json.loads(data or b"{}"), headers) if data or _adds(method, path) else None)
        )
        if refused:
            return _refused(refused)
        number = path.split("/")[5] if path.count("/") > 4 else "0"
        with self._lock:
            return self._refresh() if path.endswith("/refresh") else self._record(method, int(number), asked, data)

    def _refusal(self, method: str, url: str, headers: Mapping[str, str], data: bytes) -> Refused | None:
        if headers.get("x-ovh-application") != APPLICATION_KEY:
            return API.refusal("application")
        if headers.get("x-ovh-consumer") != CONSUMER_KEY:
            return API.refusal("consumer")
        sent = headers.get("x-ovh-timestamp", "")
        signed = "+".join((APPLICATION_SECRET, CONSUMER_KEY, method, url, data.decode(), sent))
        expected = "$1$" + hashlib.sha1(signed.encode(), usedforsecurity=False).hexdigest()
        if not hmac.compare_digest(headers.get("x-ovh-signature", ""), expected):
            return API.refusal("signature")
        if not sent.isdigit() or API.beyond("seconds apart", self.now() - int(sent)):
            return API.refusal("timestamp")
        return None

    def _refresh(self) -> Reply:
        new = [record for number, record in self.records.items() if number not in self.served]
        self.published += (Published(self.now(), record.subDomain, record.fieldType) for record in new)
        self.served = dict(self.records)
        return 200, None

    def _record(self, method: str, number: int, asked: Mapping[str, str], data: bytes) -> Reply:
        if number and number not in self.records:
            return _refused(API.refusal("record", str(number)))
        match method, bool(number):
            case "GET", False:
                found = (record for record in self.records.values() if _fits(record, asked))
                return 200, [record.id for record in found]
            case "GET", True:
                return 200, asdict(self.records[number])
            case "DELETE", True:
                del self.records[number]
                return 200, None
        return self._add(json.loads(data))

    def _add(self, wanted: Json) -> Reply:
        refused = API.unless("types", str(wanted["fieldType"])) or API.beyond("seconds of ttl", int(wanted.get("ttl") or 60))
        if refused:
            return _refused(refused)
        self._numbered += 1
        made = Record(
            self._numbered,
            self.zone,
            str(wanted.get("subDomain") or ""),
            "TXT",
            wanted["target"].strip('"'),
            int(wanted.get("ttl") or 0),
        )
        self.records[made.id] = made
        return 200, asdict(made)

    def resolve(self, query: dns.message.Message) -> dns.message.Message:
        """What the zone's name servers say: TXT records as they were published, the apex's SOA and NS, nothing of other kinds."""
        reply = dns.message.make_response(query)
        apex = dns.name.from_text(self.zone)
        question = next(iter(query.question), None)
        if question is None or not question.name.is_subdomain(apex):
            reply.set_rcode(dns.rcode.REFUSED)
            return reply
        reply.flags |= dns.flags.AA
        own = {
            "SOA": f"dns.{self.zone}. tech.{self.zone}. {len(self.published) + 1} 86400 3600 3600000 0",
            "NS": f"dns.{self.zone}.",
        }
        sub_domain = question.name.relativize(apex).to_text(omit_final_dot=True).lower()
        if question.rdtype == dns.rdatatype.TXT:
            texts = [json.dumps(record.target) for record in self.served.values() if record.subDomain.lower() == sub_domain]
            if texts:
                reply.answer.append(dns.rrset.from_text(question.name, 0, "IN", "TXT", *texts))
        kind = dns.rdatatype.to_text(question.rdtype)
        if question.name == apex and kind in own:
            reply.answer.append(dns.rrset.from_text(apex, 0, "IN", kind, own[kind]))
        if not reply.answer:
            reply.authority.append(dns.rrset.from_text(apex, 0, "IN", "SOA", own["SOA"]))
        return reply


def serve_names(ovh: Ovh, port: int) -> tuple[ThreadingUDPServer, ThreadingTCPServer]:
    """The zone's name servers on a loopback port, in both of DNS's transports; they run until they are shut down."""

    def resolved(data: bytes) -> bytes:
        return ovh.resolve(dns.message.from_wire(data)).to_wire()

    class Datagram(BaseRequestHandler):
        def handle(self) -> None:
            data, socket = self.request
            try:
                socket.sendto(resolved(data), self.client_address)
            except dns.exception.DNSException:
                return  # not a question

    class Stream(StreamRequestHandler):
        def handle(self) -> None:
            while len(length := self.rfile.read(2)) == 2:
                answer = resolved(self.rfile.read(int.from_bytes(length)))
                self.wfile.write(len(answer).to_bytes(2) + answer)

    ThreadingUDPServer.allow_reuse_address = ThreadingTCPServer.allow_reuse_address = True
    # TCP first: of its ports the machine has many in use, of UDP's hardly any.
    streams = ThreadingTCPServer(("127.0.0.1", port), Stream)
    datagrams = ThreadingUDPServer(("127.0.0.1", streams.server_address[1]), Datagram)
    for server in (datagrams, streams):
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
    return datagrams, streams


def _adds(method: str, path: str) -> bool:
    return method == "POST" and path.endswith("/record")


def _fits(record: Record, asked: Mapping[str, str]) -> bool:
    return asked.get("fieldType", record.fieldType) == record.fieldType and asked.get("subDomain", record.subDomain) == (
        record.subDomain
    )


def _refused(refused: Refused) -> Reply:
    reason = {400: "Bad Request", 403: "Forbidden", 404: "Not Found"}[refused.status]
    code = refused.code or "Client::BadRequest"
    return refused.status, {"errorCode": code, "httpCode": f"{refused.status} {reason}", "message": refused.words}
