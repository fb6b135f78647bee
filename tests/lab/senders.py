"""GitHub and Meta, played by an outsider: events in their formats, signed with the secret that they share with us."""

import hashlib
import hmac
import json
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from services.auto_fix import LABEL, REPOSITORIES
from services.webhook_gate import GITHUB_PATH
from tests.lab.deployment import Deployment

RELAY = "https://hook.vpai.test"
COMMENTS = "/webhook/ig-comment"


@dataclass
class Sender:
    """Sends requests from a machine outside the mesh."""

    stack: Deployment

    def ask(self, path: str, method: str = "GET", body: bytes = b"", **headers: str) -> tuple[int, str]:
        """Status and text of the answer."""
        given = [word for name, value in headers.items() for word in ("-H", f"{name.replace('_', '-')}: {value}")]
        data = ["--data-binary", "@-"] if body else []
        curl = [
            "curl",
            "-sS",
            "--path-as-is",
            "--max-time",
            "40",
            "-X",
            method,
            *given,
            *data,
            "-w",
            "\n%{http_code}",
            RELAY + path,
        ]
        shown = self.stack.lab.outsider.run(curl, input=body.decode()).stdout
        text, _, status = shown.rpartition("\n")
        return int(status), text

    def github(self, body: bytes, event: str = "issues", delivery: str = "", path: str = GITHUB_PATH) -> int:
        """Send a signed event of GitHub's; the answer's status."""
        signature = sign(self.stack.secrets["github_webhook_secret"], body)
        return self.ask(
            path,
            "POST",
            body,
            X_Hub_Signature_256=signature,
            X_GitHub_Event=event,
            X_GitHub_Delivery=delivery or str(uuid.uuid4()),
            Content_Type="application/json",
        )[0]

    def meta(self, body: bytes, path: str = COMMENTS) -> int:
        """Send a signed event of Meta's; the answer's status."""
        signature = sign(self.stack.secrets["meta_app_secret"], body)
        return self.ask(path, "POST", body, X_Hub_Signature_256=signature, Content_Type="application/json")[0]


def sign(secret: str, body: bytes) -> str:
    """The signature header's value, which GitHub and Meta compute alike."""
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


def issue(
    number: int, *, label: str = LABEL, repository: str = REPOSITORIES[0], labels: tuple[str, ...] = (), title: str = "broken"
) -> bytes:
    """GitHub's event for a label put on an issue, with the fields that are read here."""
    document = {
        "action": "labeled",
        "label": {"name": label},
        "issue": {
            "number": number,
            "title": title,
            "body": "It does not work.",
            "state": "open",
            "labels": [{"name": name} for name in (label, *labels)],
            "updated_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
        "repository": {"full_name": repository},
        # Two events of one second differ; GitHub's differ in many fields that nothing here reads.
        "sender": {"login": "somebody", "id": time.time_ns()},
    }
    return json.dumps(document).encode()


def comment(text: str) -> bytes:
    """Instagram's event of a comment, escaped as Meta does, with more blanks than a JSON library would keep."""
    value = json.dumps({"from": {"username": "somebody"}, "text": text})
    entry = f'{{"id": "1", "time": {int(time.time())},\t"changes": [ {{"field": "comments",   "value": {value}}} ]}}'
    return f'{{"object":"instagram",  "entry":[{entry}]}}\n'.encode()
