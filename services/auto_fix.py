"""auto-fix: a worker on the workstation that fetches an issue, lets Claude Code write a branch, and opens the pull request
(images/auto-fix)."""

from collections.abc import Iterator
from datetime import date

from model.backup import Nothing
from model.credential import Unverifiable
from model.secret import External, Secret
from model.service import Configuration, File, Healthcheck, Limits, Logs, May, Metrics, Replacement, Service, Volume
from model.waiver import Waiver
from services.context import Context
from services.networks import EGRESS, MONITORING
from services.webhook_gate import JOBS, JOBS_TOKEN

REPOSITORIES = ("Mobutoo/VPAI",)
"""Repositories that may be changed (specification, GitHub Webhooks: "Target repos"). n8n checks them first, then the worker."""
LABEL = "auto-fix"
REFUSED_LABEL = "security"
"""An issue with this label is left to people: its text describes an attack."""
GITHUB_TOKEN = Secret(
    name="github_auto_fix_token",
    source=External(
        obtain="GitHub > Settings > Developer settings > Fine-grained tokens: these repositories alone; Contents, Issues and"
        + " Pull requests read and write",
        optional=True,
    ),
)
ANTHROPIC_KEY = Secret(
    name="auto_fix_anthropic_api_key",
    source=External(obtain="console.anthropic.com > a workspace of its own with a monthly limit > API keys", optional=True),
)
DIRECTORY = "/etc/auto-fix"
PATIENCE_MINUTES = 15
_USERS = ("20007:20007", "20008:20008")
"""Users of the part with the tokens and the repository, and of the part that reads strangers' texts. The second owns no file, in
the container or on the host."""
_USERS_BESIDE = ("20017:20017", "20018:20018")
"""The same on the stack's own host, where the sandboxes' user is 20007."""


def services(of: Context) -> Iterator[Service]:
    """The module's only service."""
    yield service(of)


def service(of: Context) -> Service:
    """The worker. It calls other services, and none calls it."""
    jobs = of.way(JOBS, "n8n's jobs are fetched there, so that nobody needs to call the worker")
    worker, tool = _USERS_BESIDE if jobs.needs else _USERS
    return Service(
        name="auto-fix",
        image="ghcr.io/mobutoo/vpai-auto-fix:1.0.0",
        networks=(*jobs.networks, EGRESS.name, MONITORING.name),
        # Claude Code is a Node program, and it reads a whole repository.
        limits=Limits(memory_mib=1024, cpus=1.0),
        replacement=Replacement.STOP_FIRST,
        metrics=Metrics(port=8083),
        logs=Logs.JSON,
        command=(
            f"-jobs={jobs.url}/jobs",
            f"-repositories={','.join(REPOSITORIES)}",
            f"-patience={PATIENCE_MINUTES}m",
            f"-worker-user={worker}",
            f"-tool-user={tool}",
        ),
        configuration=Configuration(
            directory=DIRECTORY,
            owner=worker,
            files=(
                File(path="jobs-token", content=f"{JOBS_TOKEN}"),
                File(path="github-token", content=f"{GITHUB_TOKEN}"),
                File(path="anthropic-api-key", content=f"{ANTHROPIC_KEY}"),
            ),
        ),
        secrets=(JOBS_TOKEN, GITHUB_TOKEN, ANTHROPIC_KEY),
        credentials=(
            *(
                Unverifiable(secret=secret, reason=f"{whose} checks it, not we: the worker's log tells of a refusal")
                for secret, whose in ((GITHUB_TOKEN, "GitHub"), (ANTHROPIC_KEY, "Anthropic"))
            ),
        ),
        needs=jobs.needs,
        links=jobs.links,
        volumes=(
            Volume(
                path="/work",
                directory="auto-fix",
                owner=worker,
                mode=0o700,
                backup=Nothing(reason="the job in hand and its checkout"),
            ),
        ),
        may=May(share_uid=0),
        healthcheck=Healthcheck(
            command=("/usr/local/bin/auto-fix", "-health"), interval=15, timeout=5, retries=3, start_period=10
        ),
        init_process=True,
        user="0:0",
        other_users=(worker, tool),
        capabilities=("SETGID", "SETUID"),
        waivers=(
            Waiver(
                rule="containers-user",
                subject="root",
                reason="root without files or a word from outside: it starts the worker and the tool as two users, and waits",
                until=date(2027, 10, 25),
            ),
        ),
        tmpfs=("/tmp",),
    )
