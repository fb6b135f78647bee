"""Every law of the fleet can be broken, is told with its remedy, and together with all others."""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Network

import pytest

from model import laws
from model.fleet import Fleet
from model.network import Network
from model.placement import Placement
from model.problem import Refused
from model.secret import External, Generated, Secret
from model.service import Access, Healthcheck, Limits, Port, Replacement, Route, Task, Volume
from services.networks import NETWORKS
from tests.fleets import EMPTY_LOCK, placement, with_service

PROBE = Healthcheck(command=("true",), interval=10, timeout=5, retries=3, start_period=10)
PORT = Port(number=443, protocol="tcp", reachable_by="anyone")
VOLUME = Volume(path="/data", directory="postgresql", owner="0:0", mode=0o700, backup="daily")

BREAKS: dict[laws.Law, list[tuple[Callable[[], Placement], str]]] = {
    laws.names_are_unique: [
        (lambda: placement(networks=(*NETWORKS, NETWORKS[0])), "network name 'frontend' is used 2 times"),
    ],
    laws.needs_are_met: [
        (lambda: with_service("litellm", needs=("postgres",)), "needs 'postgres'"),
        (lambda: with_service("redis", needs=("litellm",)), "circle"),
    ],
    laws.networks_do_not_overlap: [
        (lambda: placement(networks=(*NETWORKS, _network("172.20.1.128/25"))), "overlaps new"),
        (lambda: placement(networks=(*NETWORKS, _network("172.21.9.0/24"))), "overlaps Docker's own address pool"),
        (lambda: placement(networks=(*NETWORKS, _network("100.64.3.0/24"))), "overlaps the mesh"),
    ],
    laws.networks_are_known: [
        (lambda: with_service("redis", networks=("bakcend",)), "unknown network 'bakcend'"),
        (lambda: with_service("redis", networks=()), "joins no network"),
    ],
    laws.host_ports_are_used_once: [
        (lambda: with_service("redis", ports=(PORT,)), "443/tcp is published by redis and caddy"),
    ],
    laws.only_caddy_publishes: [
        (lambda: with_service("redis", ports=(replace(PORT, number=6379),)), "redis publishes port 6379/tcp"),
        (lambda: with_service("caddy", ports=(replace(PORT, reachable_by=""),)), "names nobody"),
    ],
    laws.routes_are_answered: [
        (lambda: with_service("litellm", routes=(_route(Access.PUBLIC),)), "is public without a reason"),
        (lambda: with_service("litellm", routes=(_route(Access.VPN, "why not"),)), "gives a reason to be public"),
        (lambda: with_service("caddy", networks=("frontend",)), "Caddy cannot reach litellm"),
    ],
    laws.memory_fits: [
        (lambda: with_service("redis", limits=Limits(memory_mib=9000, cpus=1)), "memory limits add up to 11816 MiB"),
    ],
    laws.healthchecks_are_sound: [
        (lambda: with_service("redis", healthcheck=replace(PROBE, command=("wget", "http://localhost/"))), "asks 'localhost'"),
        (lambda: with_service("redis", healthcheck=replace(PROBE, interval=60)), "checked every 60 s"),
    ],
    laws.secrets_are_declared: [
        (lambda: with_service("redis", secrets=()), "refers to the secret 'redis_health_password'"),
        (lambda: with_service("litellm", environment={"KEY": "${secret:litellm_salt_key}"}), "in the environment variable KEY"),
        (lambda: with_service("litellm", entrypoint=()), "no entrypoint or configuration"),
    ],
    laws.secrets_are_sound: [
        (lambda: _with_secret(Secret(name="litellm_salt_key", source=Generated(length=64))), "declared in two ways"),
        (lambda: _with_secret(Secret(name="short", source=Generated(length=8))), "has only 8 characters"),
        (lambda: _with_secret(Secret(name="from_nowhere", source=External(obtain=""))), "does not say where to get it"),
    ],
    laws.data_is_owned: [
        (lambda: with_service("redis", volumes=(VOLUME,)), "belongs to postgresql and redis"),
        (lambda: with_service("redis", volumes=(replace(VOLUME, directory="redis", backup=""),)), "nothing of its backup"),
        (lambda: with_service("redis", replacement=Replacement.START_FIRST), "is replaced start-first"),
    ],
    laws.tasks_run_in_their_service: [
        (lambda: with_service("redis", tasks=(Task(name="t", service="caddy", command=("true",), stdin=""),)), "runs in 'caddy'"),
    ],
}


def _network(cidr: str) -> Network:
    return Network(name="new", cidr=IPv4Network(cidr), internal=True)


def _route(access: Access, reason: str = "") -> Route:
    return Route(subdomain="llm", port=4000, access=access, reason=reason)


def _with_secret(secret: Secret) -> Placement:
    redis = next(service for service in placement().services if service.name == "redis")
    return with_service("redis", secrets=(*redis.secrets, secret))


def fleet(*placements: Placement) -> Fleet:
    return Fleet(project="javisi", domain="vpai.test", placements=placements, image_lock=EMPTY_LOCK)


def test_the_catalogue_obeys_every_law() -> None:
    fleet(placement())


def test_every_law_has_a_case_that_breaks_it() -> None:
    assert set(BREAKS) == {*laws.GRAPH_LAWS, *laws.LAWS}


@pytest.mark.parametrize(
    ("law", "broken", "told"),
    [
        pytest.param(law, *case, id=f"{law.__name__}-{number}")
        for law, cases in BREAKS.items()
        for number, case in enumerate(cases)
    ],
)
def test_a_broken_law_is_told_with_reason_and_remedy(law: laws.Law, broken: Callable[[], Placement], told: str) -> None:
    found = [problem for problem in law(broken()) if told in problem.what]
    assert found, f"{law.__name__} does not see it"
    assert found[0].why
    assert found[0].mend
    with pytest.raises(Refused, match="nothing has been touched"):
        fleet(broken())


def test_all_broken_laws_are_told_at_once() -> None:
    broken = with_service("redis", networks=("bakcend",), healthcheck=replace(PROBE, interval=60), secrets=())
    with pytest.raises(Refused) as refused:
        fleet(broken)
    assert len(refused.value.problems) >= 3
