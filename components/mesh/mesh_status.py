"""The state of the mesh that tailscale on this machine reports, for error messages: who is out, and how to join again."""

import json
import subprocess
from collections.abc import Mapping
from typing import Any

_SECONDS = 5


def trouble(host: str) -> str:
    """One sentence: why this machine may not reach `host` over the mesh."""
    try:
        done = subprocess.run(("tailscale", "status", "--json"), capture_output=True, text=True, timeout=_SECONDS)
    except FileNotFoundError:
        return "tailscale is not installed on this machine, so it is no member of the mesh"
    except subprocess.TimeoutExpired:
        return "tailscale on this machine does not answer"
    return explain(json.loads(done.stdout), host) if done.stdout else f"tailscale on this machine: {done.stderr.strip()}"


def explain(status: Mapping[str, Any], host: str) -> str:
    """`trouble` from what `tailscale status --json` printed."""
    if status["BackendState"] != "Running":
        expired = (status.get("Self") or {}).get("Expired")
        state = "its key has expired (make renew)" if expired else f"it is {status['BackendState']}"
        return f"this machine is out of the mesh: {state}"
    peers = (status.get("Peer") or {}).values()
    peer = next((peer for peer in peers if peer["DNSName"].partition(".")[0] == host), None)
    if peer is None:
        return f"this machine is in the mesh, but is shown no member {host}: it never joined, or the policy hides it"
    if peer.get("Expired"):
        return f"this machine is in the mesh; the key of {host} has expired (make renew)"
    if not peer.get("Online"):
        return (
            f"this machine is in the mesh, but {host} is offline there: it is off, its tailscaled is down, or its key has expired"
        )
    return f"this machine and {host} are both in the mesh: a firewall in between, or sshd"
