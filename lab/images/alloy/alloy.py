"""Alloy's pipeline, as far as services/alloy/collection.py uses it: scrapes, relabels, remote-writes, ships logs.

It reads config.alloy itself, and ends on a component or an argument that it does not know: the real one does so too, and a
configuration that was wrong in one branch only is how the predecessor lost its workstation.
"""

import http.client
import json
import os
import re
import socket
import ssl
import struct
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from standin import Refused, log

from lab.contract import Contract

Labels = dict[str, str]
Sample = tuple[Labels, float]

_CONTRACT = Contract.load(Path(__file__).with_name("contract.json"))
_STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
"""What a series gets that is no longer there (prometheus/prometheus v0.308.0, model/value/value.go)."""


@dataclass
class Block:
    """A component or a block inside one."""

    kind: str
    label: str
    values: dict[str, Any] = field(default_factory=dict)
    blocks: list["Block"] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.kind}.{self.label}"

    def inner(self, kind: str) -> list["Block"]:
        return [block for block in self.blocks if block.kind == kind]


_TOKEN = re.compile(r'//[^\n]*|\s+|(?P<string>"(?:[^"\\]|\\.)*")|(?P<word>[A-Za-z_][\w.]*|-?\d+(?:\.\d+)?)|(?P<sign>[{}\[\],=])')


class _Reader:
    """Alloy's syntax: blocks, attributes, strings, lists, maps and references."""

    def __init__(self, text: str) -> None:
        self._tokens = [match[0] for match in self._scan(text) if match.lastgroup]
        self._at = 0

    @staticmethod
    def _scan(text: str) -> Iterator[re.Match[str]]:
        at = 0
        while at < len(text):
            match = _TOKEN.match(text, at)
            if not match:
                raise ValueError(f"config.alloy, line {text.count(chr(10), 0, at) + 1}: {text[at : at + 30]!r}")
            yield match
            at = match.end()

    def document(self) -> list[Block]:
        return list(self._body("")[1])

    def _body(self, end: str) -> tuple[dict[str, Any], list[Block]]:
        values: dict[str, Any] = {}
        blocks: list[Block] = []
        while self._peek() != end:
            name = self._next()
            if self._peek() == "=":
                self._next()
                values[name] = self._value()
                continue
            label = json.loads(self._next()) if self._peek().startswith('"') else ""
            self._expect("{")
            inner, nested = self._body("}")
            self._expect("}")
            blocks.append(Block(name, label, inner, nested))
        return values, blocks

    def _value(self) -> Any:
        match self._next():
            case "[":
                return self._items("]", self._value)
            case "{":
                return dict(self._items("}", self._pair))
            case word if word.startswith('"'):
                return json.loads(word)
            case word:
                return {"true": True, "false": False}.get(word, word)

    def _pair(self) -> tuple[str, Any]:
        name = self._next().strip('"')
        self._expect("=")
        return name, self._value()

    def _items(self, end: str, read: Callable[[], Any]) -> list[Any]:
        found = []
        while self._peek() != end:
            found.append(read())
            if self._peek() == ",":
                self._next()
        self._expect(end)
        return found

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        if self._at == len(self._tokens):
            raise ValueError("config.alloy ends too early")
        self._at += 1
        return self._tokens[self._at - 1]

    def _expect(self, token: str) -> None:
        if (found := self._next()) != token:
            raise ValueError(f"config.alloy: {found!r} where {token!r} belongs")


_COMPONENTS: dict[str, Block] = {}
_SHIPPED = {"samples": 0, "lines": 0, "failures": 0}


def start(arguments: list[str]) -> None:
    """Read the configuration, refuse what is wrong with it, begin to collect."""
    try:
        blocks = read(Path(arguments[-1]).read_text())
    except ValueError as error:
        raise Refused(str(error)) from None
    _COMPONENTS.update({block.name: block for block in blocks})
    for block in blocks:
        if block.kind == "prometheus.scrape":
            threading.Thread(target=_every, args=(_seconds(block), _Scrape(block).run), daemon=True).start()
        if block.kind == "loki.source.file":
            threading.Thread(target=_every, args=(2, _Tail(block).run), daemon=True).start()


def read(text: str) -> list[Block]:
    """The components of a configuration; raises `ValueError` with what is wrong in it."""
    blocks = _Reader(text).document()
    names = {block.name for block in blocks}
    for block in blocks:
        if not _CONTRACT.accepts("components", block.kind):
            raise ValueError(_CONTRACT.refusal("components", block.kind))
        for path, kind in _parts(block):
            if not _CONTRACT.accepts(kind, path):
                raise ValueError(_CONTRACT.refusal(kind, path.removeprefix(f"{block.kind}.")))
        for rule in block.inner("rule"):
            if not _CONTRACT.accepts("actions", action := rule.values.get("action", "replace")):
                raise ValueError(_CONTRACT.refusal("actions", action))
        for receiver in block.values.get("forward_to", ()):
            if receiver.removesuffix(".receiver") not in names:
                raise ValueError(_CONTRACT.refusal("references", receiver))
    return blocks


def _parts(block: Block, above: str = "") -> Iterator[tuple[str, str]]:
    """Each attribute and each block inside, by its path below the component, and which of the two it is."""
    path = f"{above}.{block.kind}" if above else block.kind
    yield from ((f"{path}.{name}", "attributes") for name in block.values)
    for inner in block.blocks:
        yield f"{path}.{inner.kind}", "blocks"
        yield from _parts(inner, path)


def samples() -> str:
    return "".join(f"vpai_standin_shipped_total{{kind={json.dumps(kind)}}} {count}\n" for kind, count in _SHIPPED.items())


def _seconds(scrape: Block) -> float:
    number, unit = re.fullmatch(r"(\d+)([sm])", scrape.values.get("scrape_interval", "60s")).groups()  # type: ignore[union-attr]
    return int(number) * {"s": 1, "m": 60}[unit]


def _every(seconds: float, run: Callable[[], None]) -> None:
    while True:
        begun = time.monotonic()
        try:
            run()
        except (OSError, ValueError, KeyError, http.client.HTTPException) as error:
            _SHIPPED["failures"] += 1
            log(failed=f"{type(error).__name__}: {error}")
        time.sleep(max(0.1, seconds - (time.monotonic() - begun)))


class _Scrape:
    """One prometheus.scrape."""

    def __init__(self, block: Block) -> None:
        self._block = block
        self._last: dict[frozenset[tuple[str, str]], Labels] = {}

    def run(self) -> None:
        found = [sample for target, read in self._targets() for sample in self._scraped(target, read)]
        now = {frozenset(labels.items()): labels for labels, _ in found}
        gone = [(labels, _STALE) for series, labels in self._last.items() if series not in now]
        self._last = now
        for receiver in self._block.values["forward_to"]:
            _forward(receiver.removesuffix(".receiver"), [*found, *gone])

    def _targets(self) -> Iterator[tuple[Labels, Callable[[], Iterator[Sample]]]]:
        """Each target's labels and how to ask it. An exporter's are its own, `job_name` notwithstanding."""
        targets = self._block.values["targets"]
        if not isinstance(targets, str):
            for target in targets:
                address = target["__address__"]
                own = {name: value for name, value in target.items() if name[:2] != "__"}
                job = self._block.values.get("job_name", self._block.name)
                yield {"job": job, "instance": address, **own}, partial(self._asked, address)
            return
        exporter = _COMPONENTS[targets.removesuffix(".targets")]
        if exporter.kind == "prometheus.exporter.unix":
            yield {"job": "integrations/unix", "instance": socket.gethostname()}, partial(_unix, exporter)
            return
        for probed in exporter.inner("target"):
            job = f"integrations/blackbox/{probed.values['name']}"
            extra = probed.values.get("labels", {})
            yield {**extra, "job": job, "instance": exporter.name}, partial(_handshake, exporter, probed)

    def _asked(self, address: str) -> Iterator[Sample]:
        values = self._block.values
        request = urllib.request.Request(f"http://{address}{values.get('metrics_path', '/metrics')}")
        if file := values.get("bearer_token_file"):
            request.add_header("Authorization", f"Bearer {Path(file).read_text().strip()}")
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            yield from _read(response.read().decode())

    def _scraped(self, target: Labels, read: Callable[[], Iterator[Sample]]) -> list[Sample]:
        honor = self._block.values.get("honor_labels", False)
        try:
            found = [(labelled(own, target, honor=honor), value) for own, value in read()]
        except (OSError, http.client.HTTPException) as error:
            log(target=target["instance"], failed=str(error))
            return [({"__name__": "up", **target}, 0.0)]
        return [*found, ({"__name__": "up", **target}, 1.0)]


def labelled(own: Labels, target: Labels, *, honor: bool) -> Labels:
    """A series with its target's labels: of two of one name the target's counts and the other is kept as `exported_<name>`,
    or the series' own where that is honored (prometheus/prometheus v0.308.0, scrape/scrape.go, mutateSampleLabels)."""
    if honor:
        return {**target, **own}
    kept = {f"exported_{name}" if name in target else name: value for name, value in own.items()}
    return {**kept, **target}


_SAMPLE = re.compile(r"(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})?\s+(?P<value>\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def _read(text: str) -> Iterator[Sample]:
    """Prometheus' text format."""
    for line in text.splitlines():
        if line and line[0] != "#" and (match := _SAMPLE.match(line)):
            labels = {name: re.sub(r"\\(.)", r"\1", value) for name, value in _LABEL.findall(match["labels"] or "")}
            yield {"__name__": match["name"], **labels}, float(match["value"])


def _unix(exporter: Block) -> Iterator[Sample]:
    """The host's memory, processors, load and root file system."""
    proc, root = Path(exporter.values["procfs_path"]), exporter.values["rootfs_path"]
    for textfile in exporter.inner("textfile"):
        for file in Path(textfile.values["directory"]).glob("*.prom"):
            yield from _read(file.read_text())
    for name, kib in re.findall(r"^(MemTotal|MemAvailable):\s+(\d+) kB", (proc / "meminfo").read_text(), re.M):
        yield {"__name__": f"node_memory_{name}_bytes"}, int(kib) * 1024.0
    yield {"__name__": "node_load5"}, float((proc / "loadavg").read_text().split()[1])
    for number, *times in re.findall(r"^cpu(\d+) (\d+) (\d+) (\d+) (\d+)", (proc / "stat").read_text(), re.M):
        for mode, ticks in zip(("user", "nice", "system", "idle"), times, strict=True):
            yield {"__name__": "node_cpu_seconds_total", "cpu": number, "mode": mode}, int(ticks) / 100
    disk = os.statvfs(root)
    for name, blocks in (("avail", disk.f_bavail), ("size", disk.f_blocks)):
        yield {"__name__": f"node_filesystem_{name}_bytes", "mountpoint": "/", "fstype": "ext4"}, float(blocks * disk.f_frsize)
    for fields in map(str.split, (proc / "diskstats").read_text().splitlines()):
        yield {"__name__": "node_disk_io_time_seconds_total", "device": fields[2]}, int(fields[12]) / 1000


def _handshake(exporter: Block, target: Block) -> Iterator[Sample]:
    """When a target's certificate runs out. That it could not be asked is a sample too: its `up` is 1 all the same."""
    module = json.loads(exporter.values["config"])["modules"][target.values["module"]]
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    host, _, port = target.values["address"].partition(":")
    name = module["tcp"]["tls_config"]["server_name"]
    try:
        expiry = _expiry(context, host, int(port), name)
    except OSError as error:
        log(target=name, failed=str(error))
        yield {"__name__": "probe_success"}, 0.0
    else:
        yield {"__name__": "probe_success"}, 1.0
        yield {"__name__": "probe_ssl_earliest_cert_expiry"}, expiry


def _expiry(context: ssl.SSLContext, host: str, port: int, name: str) -> float:
    connection = http.client.HTTPConnection(host, port, timeout=5)
    connection.connect()
    with context.wrap_socket(connection.sock, server_hostname=name) as secured, tempfile.NamedTemporaryFile("w") as file:
        file.write(ssl.DER_cert_to_PEM_cert(secured.getpeercert(binary_form=True) or b""))
        file.flush()
        # The only reader of a certificate that the standard library has.
        return ssl.cert_time_to_seconds(ssl._ssl._test_decode_cert(file.name)["notAfter"])  # type: ignore[attr-defined]


def _forward(receiver: str, found: Sequence[Sample]) -> None:
    block = _COMPONENTS[receiver]
    if block.kind == "prometheus.relabel":
        kept = [(labels, value) for own, value in found if (labels := _relabelled(block.inner("rule"), own)) is not None]
        for further in block.values["forward_to"]:
            _forward(further.removesuffix(".receiver"), kept)
        return
    # Only where a series has none of the name (prometheus/prometheus v0.308.0, storage/remote/queue_manager.go).
    external = block.values.get("external_labels", {})
    body = _write_request([({**external, **labels}, value) for labels, value in found])
    _post(block, body, {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"})
    _SHIPPED["samples"] += len(found)


def _relabelled(rules: Sequence[Block], labels: Mapping[str, str]) -> Labels | None:
    """The labels after the rules; None for what they drop."""
    changed = dict(labels)
    for rule in rules:
        pattern = rule.values.get("regex", "(.*)")
        match rule.values.get("action", "replace"):
            case "labeldrop":
                changed = {name: value for name, value in changed.items() if not re.fullmatch(pattern, name)}
            case "drop":
                if re.fullmatch(pattern, _joined(rule, changed)):
                    return None
            case "replace":
                if found := re.fullmatch(pattern, _joined(rule, changed)):
                    value = re.sub(r"\$(\d)", lambda group: found[int(group[1])] or "", rule.values.get("replacement", "$1"))
                    changed[rule.values["target_label"]] = value
    return {name: value for name, value in changed.items() if value}


def _joined(rule: Block, labels: Mapping[str, str]) -> str:
    return ";".join(labels.get(name, "") for name in rule.values["source_labels"])


def _write_request(found: Sequence[Sample]) -> bytes:
    """Prometheus' WriteRequest, in a Snappy block of literals."""
    now = int(time.time() * 1000)
    series = (
        b"".join(_message(1, _message(1, name.encode()) + _message(2, value.encode())) for name, value in sorted(labels.items()))
        + _message(2, b"\x09" + struct.pack("<d", value) + b"\x10" + _varint(now))
        for labels, value in found
    )
    text = b"".join(_message(1, each) for each in series)
    chunks = (text[at : at + 65536] for at in range(0, len(text), 65536))
    return _varint(len(text)) + b"".join(b"\xf4" + struct.pack("<H", len(chunk) - 1) + chunk for chunk in chunks)


def _message(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def _post(store: Block, body: bytes, headers: Mapping[str, str]) -> None:
    endpoint = store.inner("endpoint")[0]
    authority = [block.values["ca_pem"] for block in endpoint.inner("tls_config")]
    context = ssl.create_default_context(cadata=authority[0] if authority else None)
    request = urllib.request.Request(endpoint.values["url"], data=body, headers=dict(headers))  # noqa: S310
    urllib.request.urlopen(request, timeout=10, context=context).close()  # noqa: S310


class _Tail:
    """One loki.source.file over the containers that docker-proxy tells of."""

    def __init__(self, block: Block) -> None:
        matched = _COMPONENTS[block.values["targets"].removesuffix(".targets")]
        self._relabel = _COMPONENTS[matched.values["path_targets"].removesuffix(".output")]
        self._docker = _COMPONENTS[self._relabel.values["targets"].removesuffix(".targets")]
        process = _COMPONENTS[block.values["forward_to"][0].removesuffix(".receiver")]
        self._static = process.inner("stage.static_labels")[0].values["values"]
        self._store = _COMPONENTS[process.values["forward_to"][0].removesuffix(".receiver")]
        self._positions: dict[str, int] = {}

    def run(self) -> None:
        read = dict(self._positions)
        streams = [stream for labels in self._containers() if (stream := self._stream(labels, read))]
        if streams:
            _post(self._store, json.dumps({"streams": streams}).encode(), {"Content-Type": "application/json"})
            _SHIPPED["lines"] += sum(len(stream["values"]) for stream in streams)
        # What could not be shipped is read again: until its host is in the mesh, a collector has nobody to tell.
        self._positions = read

    def _containers(self) -> Iterator[Labels]:
        address = self._docker.values["host"].replace("tcp://", "http://")
        with urllib.request.urlopen(f"{address}/containers/json", timeout=10) as response:  # noqa: S310
            listed = json.load(response)
        for container in listed:
            meta = {
                f"__meta_docker_container_label_{re.sub(r'[^a-zA-Z0-9_]', '_', name)}": value
                for name, value in container["Labels"].items()
            }
            labels = _relabelled(self._relabel.inner("rule"), {**meta, "__meta_docker_container_id": container["Id"]})
            if labels is not None:
                yield labels

    def _stream(self, labels: Labels, read: dict[str, int]) -> dict[str, Any] | None:
        file = Path(labels["__path__"])
        text = file.read_bytes() if file.exists() else b""
        position = read.get(str(file), 0)
        # A shorter file is a new one: Docker has turned it over.
        complete = text[position if position <= len(text) else 0 :].rpartition(b"\n")[0]
        if not complete:
            return None
        read[str(file)] = (position if position <= len(text) else 0) + len(complete) + 1
        external = self._store.values.get("external_labels", {})
        named = {name: value for name, value in labels.items() if name[:2] != "__"}
        entries = [json.loads(line) for line in complete.splitlines()]
        values = [[_nanoseconds(entry["time"]), entry["log"].rstrip("\n")] for entry in entries]
        return {"stream": {**external, **self._static, **named}, "values": values}


def _nanoseconds(timestamp: str) -> str:
    """Of RFC 3339 with up to nine digits of a second, as Docker writes it."""
    whole, _, fraction = timestamp.rstrip("Z").partition(".")
    seconds = int(time.mktime(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) - time.timezone)
    return f"{seconds}{fraction:0<9}"
