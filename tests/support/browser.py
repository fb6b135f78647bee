"""A real browser (Debian's Chromium) in the network of a lab's machine, driven by a pipe. It trusts only the site's key."""

import base64
import hashlib
import json
import os
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from lab import Machine
from lab.engine import docker

_WHO = """import socket, ssl, sys
with ssl.create_default_context().wrap_socket(socket.create_connection((sys.argv[1], 443)), server_hostname=sys.argv[1]) as site:
    print(site.getpeername()[0], site.getpeercert(True).hex())"""
"""Prints the site's address and certificate; the machine's own root certificates verify the certificate."""
PROGRAM = "chromium"
"""`make test` and `make prove` install it."""


class Browser:
    """One tab for `site`. The browser has the machine's network, but not its resolver and root certificate: the machine
    supplies the site's address and certificate."""

    def __init__(self, machine: Machine, site: str) -> None:
        pid = docker("inspect", "--format", "{{.State.Pid}}", machine.container).stdout.strip()
        address, certificate = machine.run(["vpai-python", "-c", _WHO, site]).stdout.split()
        key = x509.load_der_x509_certificate(bytes.fromhex(certificate)).public_key()
        pin = hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
        self._home = tempfile.TemporaryDirectory()
        read, self._asks = os.pipe()
        self._answers, write = os.pipe()
        words = [
            *("nsenter", f"--net=/proc/{pid}/ns/net", "bash", "-c", f'exec "$@" 3<&{read} 4>&{write}', "bash", PROGRAM),
            *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe"),
            *(f"--user-data-dir={self._home.name}", "--window-size=1200,750", f"--host-resolver-rules=MAP {site} {address}"),
            f"--ignore-certificate-errors-spki-list={base64.b64encode(pin).decode()}",
        ]
        self._process = subprocess.Popen(words, pass_fds=(read, write), stderr=subprocess.DEVNULL)
        os.close(read)
        os.close(write)
        self._rest, self._numbered, self._session = b"", 0, ""
        page = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait(20)
        os.close(self._asks)
        os.close(self._answers)
        self._home.cleanup()

    def open(self, url: str) -> None:
        shown = self._ask("Page.navigate", url=url)
        assert "errorText" not in shown, shown

    def run(self, script: str) -> Any:
        """Value of a JavaScript expression on the page; `all(selector)` finds elements, also below shadow roots."""
        everywhere = (
            "const below = (at) => at.shadowRoot ? roots(at.shadowRoot) : [];"
            "const roots = (top) => [top, ...[...top.querySelectorAll('*')].flatMap(below)];"
            "const all = (selector) => roots(document).flatMap((root) => [...root.querySelectorAll(selector)]);"
        )
        answer = self._ask("Runtime.evaluate", expression=f"(() => {{ {everywhere} return ({script}); }})()", returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def text(self) -> str:
        """The visible text of the page."""
        return str(self.run("document.body ? document.body.innerText : ''"))

    def size(self, width: int, height: int, *, phone: bool = False) -> None:
        """Set the window's size in CSS pixels. A phone has two device pixels for each and gets the mobile layout."""
        self._ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2 if phone else 1, mobile=phone
        )

    def without_javascript(self) -> None:
        """Pages that are opened from now on run no script of their own."""
        self._ask("Emulation.setScriptExecutionDisabled", value=True)

    def screenshot(self, to: Path) -> None:
        to.write_bytes(base64.b64decode(self._ask("Page.captureScreenshot", format="png")["data"]))

    def _ask(self, method: str, **parameters: Any) -> Any:
        self._numbered += 1
        question = {"id": self._numbered, "method": method, "params": parameters}
        if self._session:
            question["sessionId"] = self._session
        os.write(self._asks, json.dumps(question).encode() + b"\0")
        while True:
            while b"\0" not in self._rest:
                more = os.read(self._answers, 1 << 20)
                assert more, "the browser has ended"
                self._rest += more
            message, _, self._rest = self._rest.partition(b"\0")
            answer = json.loads(message)
            if answer.get("id") == self._numbered:
                assert "error" not in answer, answer
                return answer["result"]
