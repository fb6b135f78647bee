"""Every law of the fleet can be broken, is told with its remedy, and together with all others."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from ipaddress import IPv4Network

import pytest

from model import laws
from model.backup import Backup, Files, Nothing
from model.fleet import Fleet
from model.network import Network
from model.placement import Placement
from model.problem import Refused
from model.route import Access, RateLimit, Route
from model.secret import External, Generated, Secret
from model.service import (
    Configuration,
    Database,
    File,
    Healthcheck,
    HostMount,
    Limits,
    Link,
    Metrics,
    Port,
    Reload,
    Replace,
    Replacement,
    Silent,
    Spawned,
    Task,
    Volume,
)
from services import catalogue
from services.networks import MONITORING, NETWORKS, UPLINK
from tests.fleets import EMPTY_LOCK, HOST, PROJECT, placement, with_service

PROBE = Healthcheck(command=("true",), interval=10, timeout=5, retries=3, start_period=10)
PORT = Port(number=443, protocol="tcp", access=Access.PUBLIC, reason="anyone")
UNDECLARED = Secret(name="undeclared", source=Generated())
LINK = Link(service="loki", reason="logs are kept there")
SECOND = replace(HOST, name="seko", address="203.0.113.11")
FILE = File(path="redis.conf", content="")
REPLACE = Replace()
VOLUME = Volume(path="/data", directory="postgresql", owner="0:0", mode=0o700, backup=Files())

BREAKS: dict[laws.Law, list[tuple[Callable[[], Placement], str]]] = {
    laws.names_are_unique: [
        (lambda: placement(networks=(*NETWORKS, NETWORKS[0])), "network name 'frontend' is used 2 times"),
        (lambda: placement(*placement().services, placement().services[0]), "the service name 'postgresql' is used 2 times"),
        (lambda: with_service("redis", databases=(_database("litellm"),)), "the database user name 'litellm' is used 2 times"),
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
        (lambda: with_service("caddy", ports=(replace(PORT, reason=""),)), "is open without a reason"),
    ],
    laws.routes_are_answered: [
        (lambda: with_service("litellm", routes=(_route(Access.PUBLIC),)), "is public without a reason"),
        (lambda: with_service("litellm", routes=(_route(Access.VPN, "why not"),)), "gives a reason to be public"),
        (lambda: with_service("caddy", networks=("frontend",)), "Caddy cannot reach litellm"),
        (lambda: _routed(port=0), "has neither a port nor an answer of Caddy's own"),
        (lambda: _routed(answer="OK"), "has a port and an answer of Caddy's own"),
    ],
    laws.strangers_are_limited: [
        (
            lambda: with_service("litellm", routes=(_route(Access.PUBLIC, "why not"),)),
            "public route 'llm' of litellm has no rate",
        ),
        (lambda: _routed(relayed=True), "is relayed but not public"),
    ],
    laws.paths_have_one_answer: [
        (lambda: with_service("nocodb", routes=(_route(Access.VPN),)), "the one for /* takes requests of the one for /*"),
        (lambda: _routed(paths=("webhook",)), "has the path 'webhook'"),
        (lambda: _routed(paths=("/a//b",)), "has the path '/a//b'"),
        (lambda: _routed(paths=("/a/../b",)), "has the path '/a/../b'"),
        (lambda: _routed(paths=("/a%2fb",)), "has the path '/a%2fb'"),
        (lambda: _routed(paths=("/*/b",)), "has the path '/*/b'"),
        (lambda: _routed(paths=("",)), "has the path ''"),
        (lambda: _routed(refused_paths=("_utils",)), "has the path '_utils'"),
        (
            lambda: with_service("litellm", routes=(_open(), replace(_route(Access.VPN), paths=("/Admin/*",)))),
            "'llm' is public for /*, and /Admin/* below it is for the VPN",
        ),
        (
            lambda: with_service(
                "litellm",
                routes=(
                    replace(_route(Access.VPN), paths=("/a/*", "/b/x/*")),
                    replace(_route(Access.VPN), paths=("/b/*", "/a/x/long/*")),
                ),
            ),
            "takes requests of the one for",
        ),
    ],
    laws.memory_fits: [
        (lambda: with_service("redis", limits=Limits(memory_mib=90000, cpus=1)), "memory limits add up to"),
        (
            lambda: with_service("redis", spawned=(Spawned(image="x:1", memory_mib=20000, at_most=4),)),
            "memory limits add up to",
        ),
    ],
    laws.services_are_confined: [
        (lambda: with_service("redis", limits=Limits(memory_mib=0, cpus=1)), "redis has no limit on its memory or its CPUs"),
        (lambda: with_service("redis", limits=Limits(memory_mib=64, cpus=0)), "redis has no limit on its memory or its CPUs"),
        (lambda: with_service("redis", capabilities=("ALL",)), "redis adds back ALL capabilities"),
        (lambda: with_service("redis", image="docker.io/library/redis"), "whose version nobody chose"),
        (lambda: with_service("redis", image="registry:5000/library/redis:latest"), "whose version nobody chose"),
    ],
    laws.healthchecks_are_sound: [
        (lambda: with_service("redis", healthcheck=replace(PROBE, command=("wget", "http://localhost/"))), "asks 'localhost'"),
        (lambda: with_service("redis", healthcheck=replace(PROBE, interval=60)), "checked every 60 s"),
    ],
    laws.secrets_are_declared: [
        (lambda: with_service("redis", secrets=()), "refers to the secret 'redis_health_password'"),
        (lambda: with_service("litellm", environment={"KEY": "${secret:litellm_salt_key}"}), "in the environment variable KEY"),
        (lambda: with_service("litellm", entrypoint=()), "no entrypoint or configuration"),
        (lambda: with_service("litellm", environment={"UI_USERNAME": "me"}), "sets the environment variable UI_USERNAME twice"),
    ],
    laws.secrets_are_sound: [
        (lambda: _with_secret(Secret(name="litellm_salt_key", source=Generated(length=64))), "declared in two ways"),
        (lambda: _with_secret(Secret(name="short", source=Generated(length=8))), "has only 8 characters"),
        (lambda: _with_secret(Secret(name="from_nowhere", source=External(obtain=""))), "does not say where to get it"),
    ],
    laws.data_is_owned: [
        (lambda: with_service("redis", volumes=(VOLUME,)), "belongs to postgresql and redis"),
        (lambda: with_service("redis", replacement=Replacement.START_FIRST), "is replaced start-first"),
    ],
    laws.data_is_backed_up: [
        (lambda: _backed_up(Nothing(reason="")), "is not backed up and does not say why"),
        (lambda: _backed_up(Files(exclude=("../other",))), "names '../other', which is no path inside of it"),
        (lambda: _backed_up(Files(sqlite=("/kuma.db",))), "names '/kuma.db', which is no path"),
        (lambda: _backed_up(Files(keys=(UNDECLARED,))), "cannot be read without undeclared, which a rotation would replace"),
        (lambda: with_service("postgresql", volumes=(VOLUME,)), "has databases that nothing dumps"),
        (
            lambda: with_service("postgresql", databases=(replace(_database("n8n"), keys=(UNDECLARED,)),)),
            "cannot be read without undeclared, which may be rotated",
        ),
        (lambda: _backed_up(Files(), directory="qdrant"), "(qdrant/storage) lies within that of redis (qdrant)"),
    ],
    laws.files_are_taken_up: [
        (lambda: with_service("redis", configuration=_configuration(on_change=Reload(command=()))), "reloads its files by no"),
        (lambda: with_service("redis", configuration=_configuration(FILE, FILE)), "redis has 2 files at redis.conf"),
    ],
    laws.hosts_are_shown_with_reason: [
        (lambda: with_service("redis", host_mounts=(_mount("/etc"),)), "redis mounts /etc of its host"),
        (lambda: with_service("redis", host_mounts=(_mount("/etc", ""),)), "mounts /etc of its host without a reason"),
        (lambda: with_service("redis", host_cgroups=True), "redis sees the control groups"),
    ],
    laws.monitoring_is_told: [
        (lambda: with_service("redis", metrics=Silent(reason="")), "redis has no metrics and does not say why"),
        (lambda: with_service("redis", logs=Silent(reason="")), "redis has no logs and does not say why"),
        (lambda: with_service("redis", metrics=Metrics(port=1, bearer=UNDECLARED)), "want the secret 'undeclared'"),
    ],
    laws.links_leave_by_networks_of_their_own: [
        (lambda: with_service("openclaw", links=(LINK,)), "shares the network 'egress' with openclaw, which has links"),
        (lambda: with_service("redis", links=(LINK,)), "redis has links and 0 ways out"),
        (
            lambda: replace(with_service("openclaw", links=(LINK,)), host=replace(HOST, mesh_domain="")),
            "of which the host is no member",
        ),
    ],
    laws.tasks_run_in_their_service: [
        (lambda: with_service("redis", tasks=(Task(name="t", service="caddy", command=("true",), stdin=""),)), "runs in 'caddy'"),
    ],
}


FLEET_BREAKS: dict[laws.FleetLaw, list[tuple[Callable[[], Placement], str]]] = {
    laws.hosts_are_distinct: [
        (lambda: placement(host=replace(HOST, address="203.0.113.11")), "the name 'sese' belongs to 2 hosts"),
        (lambda: placement(host=replace(HOST, name="seko")), "the address '203.0.113.10' belongs to 2 hosts"),
    ],
    laws.site_names_are_distinct: [
        (lambda: placement(host=SECOND), "the route 'llm' stands on sese and on seko"),
    ],
    laws.links_lead_to_vpn_routes: [
        (lambda: _linked(Link(service="redis", reason="why not")), "has a link to 'redis', which has no VPN route on another"),
        (lambda: _linked(Link(service="cadvisor", reason="beside")), "has a link to 'cadvisor', which has no VPN route"),
        (lambda: _linked(replace(LINK, reason="")), "the link of alloy to loki says no reason"),
    ],
}

DESIGN: dict[int, tuple[laws.Law | str, ...]] = {
    1: (
        laws.networks_do_not_overlap,
        laws.networks_are_known,
        "tests/graph/test_graph.py::test_the_five_networks_stand_with_the_specifications_ranges",
    ),
    2: (laws.only_caddy_publishes, laws.host_ports_are_used_once),
    3: (laws.routes_are_answered, "tests/engine/test_caddyfile.py::test_a_stranger_is_refused_whatever_he_writes"),
    4: (
        laws.links_leave_by_networks_of_their_own,
        "tests/unit/test_firewall.py::test_containers_are_refused_before_anything_is_let_through",
        "tests/lab/test_isolation.py::test_without_its_rule_the_same_probe_succeeds",
    ),
    5: (laws.memory_fits,),
    6: (
        laws.services_are_confined,
        laws.healthchecks_are_sound,
        "tests/graph/test_graph.py::test_containers_are_confined",
        "tests/lab_itself/test_images.py::test_only_the_tools_of_the_real_image_are_there",
    ),
    7: (laws.names_are_unique,),
    8: (
        laws.data_is_owned,
        laws.data_is_backed_up,
        "tests/graph/test_graph.py::test_data_directories_are_protected_in_prod_alone",
    ),
    9: (
        laws.secrets_are_declared,
        laws.secrets_are_sound,
        "tests/unit/test_inputs.py::test_placeholders_are_refused",
    ),
    10: (
        laws.files_are_taken_up,
        "tests/lab/test_convergence.py::test_a_changed_litellm_configuration_replaces_exactly_that_service_without_a_refused_request",
        "tests/lab/test_convergence.py::test_changed_access_ranges_reload_caddy_and_replace_nothing",
    ),
    11: ("tests/engine/test_offline_preview.py::test_what_nobody_looked_up_is_warned_of_in_a_preview_and_refused_by_an_up",),
}
"""The laws of the design by number: what holds each of them, broken above or by the test named here."""


def _mount(path: str, reason: str = "because") -> HostMount:
    return HostMount(path=path, container_path="/seen", reason=reason, until=date(2027, 5, 31))


def _network(cidr: str) -> Network:
    return Network(name="new", cidr=IPv4Network(cidr), internal=True)


def _linked(link: Link) -> Placement:
    """A second host whose collector calls the first one."""
    services = tuple(
        replace(service, links=(link,)) if service.name == "alloy" else service for service in catalogue.workstation("vpai.test")
    )
    return placement(*services, host=SECOND, networks=(MONITORING, UPLINK))


def _route(access: Access, reason: str = "") -> Route:
    return Route(subdomain="llm", port=4000, access=access, reason=reason)


def _open() -> Route:
    return replace(_route(Access.PUBLIC, "why not"), rate_limit=RateLimit(requests=1, seconds=1))


def _routed(**changes: object) -> Placement:
    return with_service("litellm", routes=(replace(_route(Access.VPN), **changes),))  # type: ignore[arg-type]


def _backed_up(backup: Backup, directory: str = "redis") -> Placement:
    return with_service("redis", volumes=(replace(VOLUME, directory=directory, backup=backup),))


def _database(user: str) -> Database:
    return Database(name="another", user=user)


def _configuration(*files: File, on_change: Replace | Reload = REPLACE) -> Configuration:
    redis = next(service for service in placement().services if service.name == "redis").configuration
    assert redis
    return replace(redis, files=(*redis.files[1:], *(files or redis.files[:1])), on_change=on_change)


def _with_secret(secret: Secret) -> Placement:
    redis = next(service for service in placement().services if service.name == "redis")
    return with_service("redis", secrets=(*redis.secrets, secret))


def fleet(*placements: Placement) -> Fleet:
    return Fleet(project="javisi", domain="vpai.test", placements=placements, mesh=None, image_lock=EMPTY_LOCK)


def test_the_catalogue_obeys_every_law() -> None:
    fleet(placement())


def test_a_link_obeys_every_law() -> None:
    fleet(placement(), _linked(LINK))


def test_every_law_has_a_case_that_breaks_it() -> None:
    assert set(BREAKS) == {*laws.GRAPH_LAWS, *laws.LAWS}
    assert set(FLEET_BREAKS) == set(laws.FLEET_LAWS)


@pytest.mark.parametrize("number", range(1, 12))
def test_every_law_of_the_design_is_broken_somewhere(number: int) -> None:
    assert DESIGN[number]
    for holder in DESIGN[number]:
        if callable(holder):
            assert BREAKS[holder]
        else:
            path, _, name = holder.partition("::")
            assert re.search(rf"def {name}\(", (PROJECT / path).read_text()), f"{path} has no test {name}"


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


@pytest.mark.parametrize(("law", "second", "told"), [(law, *case) for law, cases in FLEET_BREAKS.items() for case in cases])
def test_a_law_broken_by_two_hosts_is_told_with_reason_and_remedy(
    law: laws.FleetLaw, second: Callable[[], Placement], told: str
) -> None:
    both = (placement(), second())
    found = [problem for problem in law(both) if told in problem.what]
    assert found
    assert found[0].why
    assert found[0].mend
    with pytest.raises(Refused, match="nothing has been touched"):
        fleet(*both)


def test_all_broken_laws_are_told_at_once() -> None:
    broken = with_service("redis", networks=("bakcend",), healthcheck=replace(PROBE, interval=60), secrets=())
    with pytest.raises(Refused) as refused:
        fleet(broken)
    assert len(refused.value.problems) >= 3


def test_a_link_to_a_service_that_two_hosts_have_is_refused_with_both() -> None:
    another = placement(host=replace(HOST, name="another", address="203.0.113.12"))
    found = list(laws.links_lead_to_vpn_routes((placement(), another, _linked(LINK))))
    assert "seko: the link of alloy to loki leads to sese, another" in [problem.what for problem in found]
