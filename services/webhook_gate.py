"""webhook-gate: checks all calls of n8n's workflows, from the Internet and from members, before n8n gets them
(images/webhook-gate), and keeps n8n's jobs until a worker fetches them.

Members and OpenClaw sign the body that they send: `X-Signature-256: sha256=<hex HMAC-SHA256 with n8n_webhook_secret>`.
"""

import json
from collections.abc import Iterator
from datetime import timedelta

from model.alert import Severity, Watch
from model.backup import Nothing
from model.credential import Credential, Header, Request, Unverifiable
from model.endpoint import Endpoint
from model.route import Access, RateLimit, Route
from model.secret import External, Generated, Secret
from model.service import Configuration, File, Healthcheck, Limits, Logs, Metrics, Replacement, Service, Volume
from services.context import Context
from services.networks import BACKEND

GITHUB_SECRET = Secret(
    name="github_webhook_secret",
    source=External(
        obtain="choose one (openssl rand -hex 32) and enter it at GitHub: repository > Settings > Webhooks > Secret",
        optional=True,
        chosen=True,
    ),
)
META_APP_SECRET = Secret(
    name="meta_app_secret", source=External(obtain="developers.facebook.com > your app > App settings > Basic", optional=True)
)
META_VERIFY_TOKEN = Secret(
    name="meta_verify_token",
    source=External(
        obtain="choose one (openssl rand -hex 32) and enter it at developers.facebook.com > your app > Webhooks > Verify token",
        optional=True,
        chosen=True,
    ),
)
CALLS_SECRET = Secret(name="n8n_webhook_secret", source=Generated(length=64, hexadecimal=True))
"""Callers of a workflow sign with it."""
SIGNING_SECRET = Secret(name="webhook_gate_secret", source=Generated(length=48))
"""The gate signs its token for n8n with it. Not CALLS_SECRET: a caller of workflows could then pose as GitHub."""
JOBS_TOKEN = Secret(name="auto_fix_token", source=Generated(length=48))

N8N = Endpoint(service="n8n", port=5678, network=BACKEND.name, site="n8n")
"""Members call n8n's workflows at n8n's own site, and still pass the gate."""
DIRECTORY = "/etc/webhook-gate"
PORT = 8080
JOBS = Endpoint(service="webhook-gate", port=8081, network=BACKEND.name, site="fix")
NUMBERS_PORT = 8082
CALLS_PORT = 8083
GITHUB_PATH = "/webhook/github-autofix"
META_PATHS = ("/webhook/ig-comment", "/webhook/ig-dm")
CALLS_PATHS = tuple(f"/webhook/{name}" for name in ("ask-agent", "agent-callback", "summarize", "health-report"))
WINDOW = timedelta(hours=72)
"""How long the gate remembers an event, and how old an event may be. GitHub delivers again for 3 days when asked to
(docs.github.com, "Redelivering webhooks"), Meta by itself for 36 hours (Graph API, "Webhooks: Getting started")."""
RATE_LIMIT = RateLimit(requests=300, seconds=60)
"""A hundred times the calls of a busy repository; Meta bundles its updates when there are many."""
_LARGEST_KIB = 640
"""An issue's text has 65,536 characters of at most 4 bytes, and an edit sends the old one too. Eight bodies are read at once."""
_MEMORY_MIB = 64
"""On every host: ten thousand unknown clients made the gate use 53 MiB (images/webhook-gate/siege_test.go)."""
_USER = "65532:65532"


def services(of: Context) -> Iterator[Service]:
    """The module's only service."""
    yield service(N8N.beside, of.scale)


def service(n8n: str, scale: float = 1.0) -> Service:
    """The gate in front of the webhooks at `n8n`, an address such as http://n8n:5678."""
    return Service(
        name="webhook-gate",
        image="ghcr.io/mobutoo/vpai-webhook-gate:1.0.0",
        networks=(BACKEND.name,),
        limits=Limits(memory_mib=_MEMORY_MIB, cpus=0.5).scaled(scale, least_mib=_MEMORY_MIB),
        environment={"GOMEMLIMIT": f"{_MEMORY_MIB * 3 // 4}MiB"},
        replacement=Replacement.STOP_FIRST,
        metrics=Metrics(port=NUMBERS_PORT),
        logs=Logs.JSON,
        configuration=Configuration(
            directory=DIRECTORY,
            owner=_USER,
            files=(
                File(path="gate.json", content=_settings(n8n)),
                File(path="github-webhook-secret", content=f"{GITHUB_SECRET}"),
                File(path="meta-app-secret", content=f"{META_APP_SECRET}"),
                File(path="meta-verify-token", content=f"{META_VERIFY_TOKEN}"),
                File(path="calls-secret", content=f"{CALLS_SECRET}"),
                File(path="n8n-secret", content=f"{SIGNING_SECRET}"),
                File(path="jobs-token", content=f"{JOBS_TOKEN}"),
            ),
        ),
        secrets=(GITHUB_SECRET, META_APP_SECRET, META_VERIFY_TOKEN, CALLS_SECRET, SIGNING_SECRET, JOBS_TOKEN),
        credentials=(
            Credential(
                secret=JOBS_TOKEN,
                holder="n8n, which offers jobs, and the auto-fix worker, who fetches them",
                # No job has this id, so nothing is taken.
                proof=Request(port=JOBS.port, path="/jobs/none/taken", method="POST", place=Header(), accepted=(410,)),
            ),
            *(
                Unverifiable(secret=secret, reason=reason)
                for secret, reason in (
                    (GITHUB_SECRET, "it signs what GitHub sends: tests/lab/test_webhooks.py sends such events"),
                    (META_APP_SECRET, "it signs what Meta sends: tests/lab/test_webhooks.py sends such events"),
                    (META_VERIFY_TOKEN, "Meta shows it once, in a query: tests/lab/test_webhooks.py does"),
                    (CALLS_SECRET, "it signs what members send: tests/lab/test_n8n.py sends such calls"),
                    (SIGNING_SECRET, "it signs the token of a minute that n8n asks for: tests/lab/test_n8n.py"),
                )
            ),
        ),
        volumes=(
            Volume(
                path="/data",
                directory="webhook-gate",
                owner=_USER,
                mode=0o700,
                backup=Nothing(reason="events of the last seconds, and what would be known as a replay"),
            ),
        ),
        routes=_routes(),
        brings=("n8n",),
        alerts=_ALERTS,
        healthcheck=Healthcheck(command=("/webhook-gate", "-health"), interval=15, timeout=5, retries=3, start_period=10),
        user=_USER,
        stop_timeout=12,
    )


_ALERTS = (
    Watch(
        name="waiting",
        measure="max(webhook_gate_queued{$here})",
        above=0,
        seconds=1800,
        severity=Severity.WARNING,
        summary="webhooks have been waiting for half an hour: n8n or the auto-fix worker does not take them",
        runbook="make logs SERVICE=webhook-gate says why each was not taken; then the executions in n8n",
    ),
    Watch(
        name="given-up",
        measure="max(webhook_gate_given_up{$here})",
        above=0,
        seconds=60,
        severity=Severity.CRITICAL,
        summary="an acknowledged webhook was refused for good, or given up after a day",
        runbook="docs/runbooks/webhooks.md, An event was given up",
    ),
)


def _routes() -> tuple[Route, ...]:
    """Routes from the Internet, relayed by the hub; for members jobs, and calls at n8n's site, whose other paths are n8n's.

    The gate itself refuses what is too large: Caddy would do so before the signature is checked, where the answer is 401.
    """
    return (
        Route(
            subdomain="hook",
            port=PORT,
            access=Access.PUBLIC,
            reason="GitHub tells of issues; each call is signed",
            paths=(GITHUB_PATH,),
            methods=("POST",),
            rate_limit=RATE_LIMIT,
            relayed=True,
        ),
        Route(
            subdomain="hook",
            port=PORT,
            access=Access.PUBLIC,
            reason="Meta tells of comments and messages; each call is signed, or asks whether we know the verify token",
            paths=META_PATHS,
            methods=("GET", "POST"),
            rate_limit=RATE_LIMIT,
            relayed=True,
        ),
        Route(
            subdomain="hook",
            answer="relay-ok",
            access=Access.PUBLIC,
            reason="whether the relay works, asked by whoever watches it: hub, mesh and Sese-AI's Caddy answer together",
            paths=("/health",),
            methods=("GET", "HEAD"),
            rate_limit=RATE_LIMIT,
            body_mib=1,
            relayed=True,
        ),
        Route(
            subdomain=N8N.site,
            port=CALLS_PORT,
            access=Access.VPN,
            # Both spellings that n8n would accept, and the Internet's paths too, which members do not call here.
            paths=tuple(f"{path}{end}" for path in (GITHUB_PATH, *META_PATHS, *CALLS_PATHS) for end in ("", "/")),
        ),
        Route(subdomain=JOBS.site, port=JOBS.port, access=Access.VPN, paths=("/jobs/*",), methods=("GET", "POST"), body_mib=1),
    )


def _settings(n8n: str) -> str:
    events = {"/webhook/ig-comment": "comments", "/webhook/ig-dm": "messages"}
    meta = {"provider": "meta", "object": "instagram"}
    by_path: dict[str, dict[str, object]] = {
        GITHUB_PATH: {"provider": "github", "events": ["issues"]},
        **{path: {**meta, "events": [events[path]]} for path in META_PATHS},
        **{path: {"provider": "own"} for path in CALLS_PATHS},
    }
    return json.dumps(
        {
            "endpoints": [
                {"path": path, **endpoint, "largest_kib": _LARGEST_KIB, "to": f"{n8n}{path}"}
                for path, endpoint in by_path.items()
            ],
            "window_hours": WINDOW // timedelta(hours=1),
            "most_queued": 10_000,
        },
        indent=2,
    )
