"""OpenClaw's gateway: the WebSocket handshake, webhooks that start an agent's run, and its page for everything else.

A run is over at once: its result goes to n8n's webhook `agent-callback`, signed, as the skill delegate-n8n does it.
"""

import base64
import hashlib
import hmac
import json
import os
import threading
import urllib.request
import uuid
from pathlib import Path
from typing import Any

from standin import Refused, Reply, Request, log

_MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
_PAGE = b"<!doctype html><title>OpenClaw</title><p>stand-in of the VPAI lab for OpenClaw, not the real one"


def start(_: list[str]) -> None:
    """The real one reads its configuration before it listens, and ends when it is no JSON or has one token for two doors."""
    token = _hooks_token()
    if token and token == os.environ["OPENCLAW_GATEWAY_TOKEN"]:
        raise Refused("hooks.token must not match gateway auth token")  # src/gateway/startup-auth.ts


def answer(request: Request) -> Reply | None:
    if request.headers.get("upgrade", "").lower() == "websocket":
        key = request.headers.get("sec-websocket-key", "")
        accept = base64.b64encode(hashlib.sha1((key + _MAGIC).encode()).digest()).decode()  # noqa: S324 - RFC 6455 says SHA-1
        headers = {"upgrade": "websocket", "connection": "Upgrade", "sec-websocket-accept": accept}
        return Reply(101, headers=headers, close=True)
    if request.path in ("/hooks/agent", "/hooks/wake"):
        return _hook(request)
    if request.path == "/tools/invoke":
        return _invoked(request)
    if request.path.startswith(("/v1/", "/hooks/", "/tools/")):
        return None
    # Its page answers every other path, so a plain GET says nothing of the gateway (predecessor lesson 26).
    return Reply(body=_PAGE, content_type="text/html; charset=utf-8") if request.method in ("GET", "HEAD") else None


def _invoked(request: Request) -> Reply:
    """One tool by name; there are no sessions to list (docs.openclaw.ai, "Tools Invoke (HTTP)")."""
    if request.method != "POST":
        return Reply.of({"ok": False, "error": {"type": "method_not_allowed"}}, 405)
    if request.document.get("tool") != "sessions_list":
        return Reply.of({"ok": False, "error": {"type": "not_found"}}, 404)
    return Reply.of({"ok": True, "result": {"count": 0, "sessions": []}})


def _hook(request: Request) -> Reply | None:
    """docs/automation/webhook.md: 401 without the token, 400 without a message, 202 when a run has begun."""
    token = _hooks_token()
    if not token:
        return None
    bearer = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
    given = bearer or request.headers.get("x-openclaw-token", "")
    if not hmac.compare_digest(given.encode(), token.encode()):
        return Reply.text("Unauthorized", 401)
    asked = request.document
    message = asked.get("message") or asked.get("text")
    if request.method != "POST" or not message:
        return Reply.of({"ok": False, "error": "message required"}, 400)
    if request.path == "/hooks/wake":
        return Reply.of({"ok": True})
    run = {"run": str(uuid.uuid4()), "agent": asked.get("agentId", "concierge"), "message": message}
    log(hook=run)
    threading.Thread(target=_call_back, args=[run], daemon=True).start()
    return Reply.of({"ok": True, "runId": run["run"]}, 202)


def _call_back(run: dict[str, Any]) -> None:
    result = f"stand-in of the VPAI lab, no agent: asked for {run['message']!r}"
    body = json.dumps({"agent": run["agent"], "run": run["run"], "result": result}).encode()
    signature = hmac.new(os.environ.get("N8N_WEBHOOK_SECRET", "").encode(), body, hashlib.sha256).hexdigest()
    request = urllib.request.Request(  # noqa: S310 - the configured address
        f"{os.environ.get('N8N_WEBHOOK_BASE_URL', '')}/webhook/agent-callback",
        body,
        {"Content-Type": "application/json", "X-Signature-256": f"sha256={signature}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
            log(called_back=run["run"], status=response.status)
    except (OSError, ValueError) as error:
        log(called_back=run["run"], error=str(error))


def _hooks_token() -> str:
    """`hooks.token` of the configuration; empty where hooks are off."""
    hooks = json.loads(Path(os.environ["OPENCLAW_CONFIG_PATH"]).read_text()).get("hooks", {})
    token = str(hooks.get("token", "")) if hooks.get("enabled") else ""
    return os.path.expandvars(token)
