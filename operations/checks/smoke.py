"""Live checks of a deployed stack, derived from its fleet: real requests, and requests that must be refused."""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from components.docker.docker_host import LABEL_SERVICE, LABEL_STACK
from components.ssh.host_script import SshHost
from model.check import AtSite, Inside
from model.network import Network
from model.placement import Placement
from model.route import Site
from model.secret import resolve
from model.service import Service
from operations.checks import buckets, outside_view
from operations.stack import CommandFailed, Stack, on_host
from operations.table import table
from operations.web import fetch

_PUBLIC_ADDRESS = "1.1.1.1:443"
"""An address that a container with egress can reach when no mirror is set."""


@dataclass(frozen=True)
class Check:
    """One check and its result."""

    subject: str
    expected: str
    found: str
    ok: bool
    milliseconds: int
    asked: bool = True
    """False for a check that cannot run here; `found` says why."""


Ask = Callable[[], tuple[str, bool]]
"""Runs one check: what was found, and whether that is right."""


def smoke(stack: Stack, *, chat: bool) -> tuple[Check, ...]:
    """Run every check; `chat` adds a completion that a provider bills."""
    placements = zip(stack.hosts, stack.placements, strict=True)
    asks = [ask for host, placement in placements for ask in _asks(stack, host, placement, chat)]
    asks += buckets.checks(stack.inputs.fleet.buckets, stack.inputs.external)
    with ThreadPoolExecutor(max_workers=4) as pool:
        checks = tuple(pool.map(lambda ask: _answer(*ask), asks))
    return (*checks, *_left_out(stack))


def report(checks: Sequence[Check]) -> int:
    """Print the checks; returns the exit code."""
    rows = [(_verdict(check), check.subject, check.expected, check.found, f"{check.milliseconds} ms") for check in checks]
    print(table(("", "check", "expected", "found", "time"), rows))
    asked = [check for check in checks if check.asked]
    failed = sum(not check.ok for check in asked)
    rest = f", {len(checks) - len(asked)} left out" if len(asked) < len(checks) else ""
    print(f"\n{len(asked) - failed} of {len(asked)} checks passed{rest}")
    return min(failed, 1)


def _verdict(check: Check) -> str:
    if not check.asked:
        return "left out"
    return "ok" if check.ok else "FAILED"


def _left_out(stack: Stack) -> Iterator[Check]:
    for placement in stack.placements:
        if why := outside_view.left_out(stack.inputs.fleet, placement):
            yield Check(f"{placement.host.name}: its sites from outside", "not asked", why, ok=True, milliseconds=0, asked=False)


def _answer(subject: str, expected: str, ask: Ask) -> Check:
    start = time.monotonic()
    try:
        found, ok = ask()
    except (CommandFailed, OSError, BotoCoreError, ClientError) as error:
        found, ok = str(error).strip().splitlines()[-1], False
    return Check(subject, expected, found, ok, round(1000 * (time.monotonic() - start)))


def _settled_containers(stack: Stack, host: SshHost, placement: Placement) -> list[Mapping[str, Any]]:
    """The host's containers once none is starting any more; after a reboot that takes as long as a deployment gate would wait.

    An unhealthy container is inspected once more: its healthcheck may not have run since its database came back.
    """
    probes = [service.healthcheck for service in placement.services]
    patience = {
        "starting": max(probe.deadline for probe in probes),
        "unhealthy": max(probe.interval + probe.timeout for probe in probes),
    }
    begin = time.monotonic()
    while True:
        containers = stack.containers(host)
        health = {container["State"].get("Health", {}).get("Status") for container in containers}
        if all(time.monotonic() - begin > seconds for state, seconds in patience.items() if state in health):
            return containers
        time.sleep(1)


def _asks(stack: Stack, host: SshHost, placement: Placement, chat: bool) -> Iterator[tuple[str, str, Ask]]:
    containers = {
        container["Config"]["Labels"][LABEL_SERVICE]: container for container in _settled_containers(stack, host, placement)
    }
    for service in placement.services:
        yield f"{host.alias}: {service.name} healthcheck", "healthy", _health(host, stack, service)
    for network in placement.networks:
        yield (
            f"{host.alias}: network {network.name}",
            _network_text(network, placement),
            _network(stack, host, network, placement),
        )
    for service in placement.services:
        if service.lends_bash and service.name in containers:
            yield from _ways_out(stack, host, placement, containers[service.name]["Image"])
    for service in placement.services:
        for check in service.checks:
            if isinstance(check, Inside):
                yield check.subject, check.expected, _inside(stack, host, containers.get(service.name), check)
    for site in placement.sites():
        yield from _site(stack, placement, site, chat)
    if not outside_view.left_out(stack.inputs.fleet, placement):
        for question in outside_view.questions(placement):
            subject = f"{host.alias}: https://{question.host}{question.path} from outside"
            yield subject, question.expected, _stranger(stack, placement, question)


def _stranger(stack: Stack, placement: Placement, question: outside_view.Question) -> Ask:
    return lambda: question.ask(stack, placement.host.address)


def _ways_out(stack: Stack, host: SshHost, placement: Placement, image: str) -> Iterator[tuple[str, str, Ask]]:
    target = stack.inputs.settings.image_mirror or _PUBLIC_ADDRESS
    for network in placement.networks:
        expected = "no way out" if network.internal else "way out"
        yield f"{network.name} -> {target}", expected, _way_out(stack, host, network, target, image)


def _health(host: SshHost, stack: Stack, service: Service) -> Ask:
    def ask() -> tuple[str, bool]:
        label = [f"label={LABEL_STACK}={stack.name}", "--filter", f"label={LABEL_SERVICE}={service.name}"]
        ids = on_host(host, ["docker", "ps", "-q", "--filter", *label]).split()
        states = [on_host(host, ["docker", "inspect", "-f", "{{.State.Health.Status}}", identity]).strip() for identity in ids]
        return ", ".join(states) or "not running", states == ["healthy"]

    return ask


def _network_text(network: Network, placement: Placement) -> str:
    members = ", ".join(sorted(placement.members(network.name))) or "nobody"
    return f"{network.cidr}{' internal' if network.internal else ''}: {members}"


def _network(stack: Stack, host: SshHost, network: Network, placement: Placement) -> Ask:
    def ask() -> tuple[str, bool]:
        name = f"{stack.inputs.fleet.project}_{network.name}"
        shown: dict[str, Any] = json.loads(on_host(host, ["docker", "network", "inspect", name]))[0]
        names = {container["Name"] for container in shown["Containers"].values()}
        by_name = {c["Name"].lstrip("/"): c["Config"]["Labels"][LABEL_SERVICE] for c in stack.containers(host)}
        members = ", ".join(sorted(by_name.get(name, name) for name in names)) or "nobody"
        found = f"{shown['IPAM']['Config'][0]['Subnet']}{' internal' if shown['Internal'] else ''}: {members}"
        return found, found == _network_text(network, placement)

    return ask


def _way_out(stack: Stack, host: SshHost, network: Network, target: str, image: str) -> Ask:
    address, _, port = target.partition(":")

    def ask() -> tuple[str, bool]:
        ip = on_host(host, ["getent", "ahostsv4", address]).split()[0]
        probe = f"timeout 3 bash -c '</dev/tcp/{ip}/{port}' 2>/dev/null && echo way out || echo no way out"
        name = f"{stack.inputs.fleet.project}_{network.name}"
        run = ["docker", "run", "--rm", "--network", name, "--entrypoint", "bash", "--user", "65534", image, "-c", probe]
        found = on_host(host, run).strip()
        return found, found == ("no way out" if network.internal else "way out")

    return ask


def _inside(stack: Stack, host: SshHost, container: Mapping[str, Any] | None, check: Inside) -> Ask:
    def ask() -> tuple[str, bool]:
        if not container:
            return "not running", False
        command = ["docker", "exec", "-i", container["Id"], *check.command]
        found = on_host(host, command, resolve(check.stdin, stack.secrets)).strip()
        right = bool(re.search(check.answer, found))
        return check.expected if right else found, right

    return ask


def _site(stack: Stack, placement: Placement, site: Site, chat: bool) -> Iterator[tuple[str, str, Ask]]:
    yield f"http://{site.host}", "308 to https", _http(stack, f"http://{site.host}/", lambda status, _: status == 308)
    behind = {led.upstream.name for led in site.routes if led.upstream}
    for service in placement.services:
        if service.name in behind:
            for check in service.checks:
                if isinstance(check, AtSite) and (chat or not check.billed):
                    yield _at_site(stack, site, check)


def _at_site(stack: Stack, site: Site, check: AtSite) -> tuple[str, str, Ask]:
    url = f"https://{site.host}{check.path}"
    key = stack.secret(check.bearer.name) if check.bearer else ""
    body = json.dumps(check.body).encode() if check.body else None

    def right(status: int, answer: bytes) -> bool:
        return status in check.accepted and check.answers(answer)

    return f"{url}{check.about}", check.expected, _http(stack, url, right, key, body)


def _http(stack: Stack, url: str, right: Callable[[int, bytes], bool], key: str = "", body: bytes | None = None) -> Ask:
    def ask() -> tuple[str, bool]:
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
        status, answer = fetch(stack, url, headers=headers, body=body)
        return str(status), right(status, answer)

    return ask
