"""Every law of the fleet can be broken, is told with its remedy, and together with all others."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from ipaddress import IPv4Network

import pytest

from model import laws
from model.backup import Backup, Files, Nothing
from model.host import DEPLOY_UID, PEOPLE, Role
from model.network import Network
from model.placement import Placement
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
    NotCollected,
    Port,
    Reload,
    Replace,
    Replacement,
    Task,
    Volume,
)
from services import catalogue, monitoring
from services.networks import MONITORING, NETWORKS, UPLINK
from tests.support.fleets import DOOR, HOST, NAMES, context, placement, with_service
from tests.support.named import why_not
from tests.support.whole import placements

WHOLE = tuple(monitoring.with_monitoring(placements(), NAMES, ""))
PROBE = Healthcheck(command=("true",), interval=10, timeout=5, retries=3, start_period=10)
PORT = Port(number=443, protocol="tcp", access=Access.PUBLIC, reason="anyone")
UNDECLARED = Secret(name="undeclared", source=Generated())
LINK = Link(service="loki", reason="logs are kept there")
SECOND = replace(HOST, name="seko", address="203.0.113.11")
FILE = File(path="redis.conf", content="")
REPLACE = Replace()
VOLUME = Volume(path="/data", directory="postgresql", owner="0:0", mode=0o700, backup=Files())

BREAKS: dict[laws.Law, list[tuple[Callable[[], Placement], str]]] = {
    laws.graph.names_are_unique: [
        (lambda: placement(networks=(*NETWORKS, NETWORKS[0])), "network name 'frontend' is used 2 times"),
        (lambda: placement(*placement().services, placement().services[0]), "the service name 'postgresql' is used 2 times"),
        (lambda: with_service("redis", databases=(_database("litellm"),)), "the database user name 'litellm' is used 2 times"),
    ],
    laws.graph.needs_are_met: [
        (lambda: with_service("litellm", needs=("postgres",)), "needs 'postgres'"),
        (lambda: with_service("redis", needs=("litellm",)), "circle"),
    ],
    laws.networks.networks_do_not_overlap: [
        (lambda: placement(networks=(*NETWORKS, _network("172.20.1.128/25"))), "overlaps new"),
        (lambda: placement(networks=(*NETWORKS, _network("172.21.9.0/24"))), "overlaps Docker's own address pool"),
        (lambda: placement(networks=(*NETWORKS, _network("100.64.3.0/24"))), "overlaps the mesh"),
    ],
    laws.networks.networks_are_known: [
        (lambda: with_service("redis", networks=("bakcend",)), "unknown network 'bakcend'"),
        (lambda: with_service("redis", networks=()), "joins no network"),
    ],
    laws.networks.host_ports_are_used_once: [
        (lambda: with_service("redis", ports=(PORT,)), "443/tcp is published by redis and caddy"),
    ],
    laws.networks.only_caddy_publishes: [
        (lambda: with_service("redis", ports=(replace(PORT, number=6379),)), "redis publishes port 6379/tcp"),
        (lambda: with_service("caddy", ports=(replace(PORT, reason=""),)), "is open without a reason"),
    ],
    laws.routes.routes_are_answered: [
        (lambda: with_service("litellm", routes=(_route(Access.PUBLIC),)), "is public without a reason"),
        (lambda: with_service("litellm", routes=(_route(Access.VPN, "why not"),)), "gives a reason to be public"),
        (lambda: with_service("caddy", networks=("frontend",)), "Caddy cannot reach litellm"),
        (lambda: _routed(port=0), "has neither a port nor an answer of Caddy's own"),
        (lambda: _routed(answer="OK"), "has a port and an answer of Caddy's own"),
    ],
    laws.routes.strangers_are_limited: [
        (
            lambda: with_service("litellm", routes=(_route(Access.PUBLIC, "why not"),)),
            "public route 'litellm' of litellm has no rate",
        ),
        (lambda: _routed(relayed=True), "is relayed but not public"),
    ],
    laws.routes.paths_have_one_answer: [
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
            "'litellm' is public for /*, and /Admin/* below it is for the VPN",
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
    laws.capacity.memory_fits: [
        (lambda: with_service("redis", limits=Limits(memory_mib=90000, cpus=1)), "memory limits add up to"),
    ],
    laws.confinement.services_are_confined: [
        (lambda: with_service("redis", limits=Limits(memory_mib=0, cpus=1)), "redis has no limit on its memory or its CPUs"),
        (lambda: with_service("redis", limits=Limits(memory_mib=64, cpus=0)), "redis has no limit on its memory or its CPUs"),
        (lambda: with_service("redis", capabilities=("ALL",)), "redis adds back ALL capabilities"),
        (lambda: with_service("redis", image="docker.io/library/redis"), "whose version nobody chose"),
        (lambda: with_service("redis", image="registry:5000/library/redis:latest"), "whose version nobody chose"),
    ],
    laws.running.healthchecks_are_sound: [
        (lambda: with_service("redis", healthcheck=replace(PROBE, command=("wget", "http://localhost/"))), "asks 'localhost'"),
        (lambda: with_service("redis", healthcheck=replace(PROBE, interval=60)), "checked every 60 s"),
    ],
    laws.secrets.secrets_are_declared: [
        (lambda: with_service("redis", secrets=()), "refers to the secret 'redis_health_password'"),
        (lambda: with_service("litellm", environment={"KEY": "${secret:litellm_salt_key}"}), "in the environment variable KEY"),
        (lambda: with_service("litellm", entrypoint=()), "no entrypoint or configuration"),
        (lambda: with_service("litellm", environment={"UI_USERNAME": "me"}), "sets the environment variable UI_USERNAME twice"),
    ],
    laws.secrets.secrets_are_sound: [
        (lambda: _with_secret(Secret(name="litellm_salt_key", source=Generated(length=64))), "declared in two ways"),
        (lambda: _with_secret(Secret(name="short", source=Generated(length=8))), "has only 8 characters"),
        (lambda: _with_secret(Secret(name="from_nowhere", source=External(obtain=""))), "does not say where to get it"),
    ],
    laws.data.data_is_owned: [
        (lambda: with_service("redis", volumes=(VOLUME,)), "belongs to postgresql and redis"),
        (
            lambda: with_service("redis", volumes=(replace(VOLUME, directory="openclaw/redis"),)),
            "'openclaw/redis' of redis lies in 'openclaw' of openclaw",
        ),
        (lambda: with_service("redis", replacement=Replacement.START_FIRST), "is replaced start-first"),
    ],
    laws.data.data_is_backed_up: [
        (lambda: _backed_up(Nothing(reason="")), "is not backed up and does not say why"),
        (lambda: _backed_up(Files(exclude=("../other",))), "names '../other', which is no path inside of it"),
        (lambda: _backed_up(Files(sqlite=("/kuma.db",))), "names '/kuma.db', which is no path"),
        (lambda: _backed_up(Files(keys=(UNDECLARED,))), "cannot be read without undeclared, which a rotation would replace"),
        (lambda: with_service("postgresql", volumes=(VOLUME,)), "has databases that nothing dumps"),
        (
            lambda: with_service("postgresql", databases=(replace(_database("n8n"), keys=(UNDECLARED,)),)),
            "cannot be read without undeclared, which may be rotated",
        ),
    ],
    laws.data.what_is_kept_has_a_place: [
        (lambda: with_service("postgresql", databases=()), "n8n keeps something as n8n, and nobody beside it knows that user"),
        (lambda: with_service("redis", secrets=()), "litellm caches something as litellm, and nobody beside it"),
    ],
    laws.confinement.users_are_their_own: [
        (lambda: _as_user("redis", "999:999"), "redis runs as user 999, as postgresql does"),
        (lambda: _as_user("redis", "1000:1000"), "redis runs as user 1000, "),
        (lambda: _as_user("redis", f"{DEPLOY_UID}:1"), f"redis runs as user {DEPLOY_UID}, which is of those who log in"),
        (lambda: _as_user("redis", "0:0"), "redis runs as user 0, "),
        (lambda: _as_user("redis", ""), "redis runs as user 0, "),
        (lambda: with_service("n8n", other_users=("20003:20003",)), "n8n runs as user 20003, as qdrant does"),
        (lambda: with_service("n8n", user="20009:20009"), "n8n runs as user 20009, and its /home/node/.n8n belongs to 1000:1000"),
        (
            lambda: with_service("redis", configuration=replace(_configuration(), owner="0:0")),
            "belongs to 0:0",
        ),
    ],
    laws.running.files_are_taken_up: [
        (lambda: with_service("redis", configuration=_configuration(on_change=Reload(command=()))), "reloads its files by no"),
        (lambda: with_service("redis", configuration=_configuration(FILE, FILE)), "redis has 2 files at redis.conf"),
    ],
    laws.confinement.hosts_are_shown_with_reason: [
        (lambda: with_service("redis", host_mounts=(_mount("/etc"),)), "redis mounts /etc of its host"),
        (lambda: with_service("redis", host_mounts=(_mount("/etc", ""),)), "mounts /etc of its host without a reason"),
        (lambda: with_service("redis", host_cgroups=True), "redis sees the control groups"),
        (lambda: with_service("redis", user_namespaces=True), "redis makes user namespaces of its own"),
    ],
    laws.running.monitoring_is_declared: [
        (lambda: with_service("redis", metrics=NotCollected(reason="")), "redis has no metrics and does not say why"),
        (lambda: with_service("redis", logs=NotCollected(reason="")), "redis has no logs and does not say why"),
        (lambda: with_service("redis", metrics=Metrics(port=1, bearer=UNDECLARED)), "want the secret 'undeclared'"),
    ],
    laws.networks.links_leave_by_networks_of_their_own: [
        (lambda: with_service("openclaw", links=(LINK,)), "shares the network 'egress' with openclaw, which has links"),
        (lambda: with_service("redis", links=(LINK,)), "redis has links and 0 ways out"),
        (
            lambda: replace(with_service("openclaw", links=(LINK,)), host=replace(HOST, mesh_domain="")),
            "of which the host is no member",
        ),
    ],
    laws.graph.tasks_run_in_their_service: [
        (lambda: with_service("redis", tasks=(Task(name="t", service="caddy", command=("true",), stdin=""),)), "runs in 'caddy'"),
    ],
}


FLEET_BREAKS: dict[laws.FleetLaw, list[tuple[Callable[[], Placement], str]]] = {
    laws.fleet.hosts_are_distinct: [
        (lambda: placement(host=replace(HOST, address="203.0.113.11")), "the name 'sese' belongs to 2 hosts"),
        (lambda: placement(host=replace(HOST, name="seko")), "the address '203.0.113.10' belongs to 2 hosts"),
    ],
    laws.fleet.host_names_are_distinct: [
        (lambda: placement(host=replace(SECOND, name="sese-redis")), "the host sese-redis is called like redis on sese"),
        (lambda: placement(host=replace(SECOND, name="sese-database")), "is called like database-litellm on sese"),
        (lambda: placement(host=replace(SECOND, name="sese-in-mesh")), "is called like in-mesh on sese"),
    ],
    laws.fleet.site_names_are_distinct: [
        (lambda: placement(host=SECOND), "the route 'litellm' stands on sese and on seko"),
    ],
    laws.fleet.links_lead_to_vpn_routes: [
        (lambda: _linked(Link(service="redis", reason="why not")), "has a link to 'redis', which has no VPN route on another"),
        (lambda: _linked(Link(service="cadvisor", reason="beside")), "has a link to 'cadvisor', which has no VPN route"),
        (lambda: _linked(replace(LINK, reason="")), "the link of alloy to loki says no reason"),
    ],
}

DESIGN: dict[int, tuple[laws.Law | str, ...]] = {
    1: (
        laws.networks.networks_do_not_overlap,
        laws.networks.networks_are_known,
        "tests/graph/test_graph.py::test_the_five_networks_stand_with_the_specifications_ranges",
    ),
    2: (laws.networks.only_caddy_publishes, laws.networks.host_ports_are_used_once),
    3: (laws.routes.routes_are_answered, "tests/engine/test_caddyfile.py::test_a_stranger_is_refused_whatever_he_writes"),
    4: (
        laws.networks.links_leave_by_networks_of_their_own,
        "tests/unit/model/test_firewall.py::test_containers_are_refused_before_anything_is_let_through",
        "tests/lab/test_isolation.py::test_without_its_rule_the_same_probe_succeeds",
    ),
    5: (laws.capacity.memory_fits,),
    6: (
        laws.confinement.services_are_confined,
        laws.running.healthchecks_are_sound,
        "tests/graph/test_graph.py::test_containers_are_confined",
        "tests/lab_itself/test_images.py::test_only_the_tools_of_the_real_image_are_there",
    ),
    7: (laws.graph.names_are_unique,),
    8: (
        laws.data.data_is_owned,
        laws.data.data_is_backed_up,
        laws.confinement.users_are_their_own,
        "tests/graph/test_graph.py::test_data_directories_are_protected_in_prod_alone",
    ),
    9: (
        laws.secrets.secrets_are_declared,
        laws.secrets.secrets_are_sound,
        "tests/unit/stacks/test_inputs.py::test_placeholders_are_refused",
    ),
    10: (
        laws.running.files_are_taken_up,
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
        replace(service, links=(link,)) if service.name == "alloy" else service
        for service in catalogue.on({Role.WORKSTATION}, context(), DOOR)
    )
    return placement(*services, host=SECOND, networks=(MONITORING, UPLINK))


def _route(access: Access, reason: str = "") -> Route:
    return Route(subdomain="litellm", port=4000, access=access, reason=reason)


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


def _as_user(name: str, user: str) -> Placement:
    """A service that runs as `user`, as all that is its own says too."""
    service = next(service for service in placement().services if service.name == name)
    owner = user or "0:0"
    assert service.configuration
    return with_service(
        name,
        user=user,
        volumes=tuple(replace(volume, owner=owner) for volume in service.volumes),
        configuration=replace(service.configuration, owner=owner),
    )


def _with_secret(secret: Secret) -> Placement:
    redis = next(service for service in placement().services if service.name == "redis")
    return with_service("redis", secrets=(*redis.secrets, secret))


def test_every_law_has_a_case_that_breaks_it() -> None:
    assert set(BREAKS) == {*laws.GRAPH_LAWS, *laws.LAWS}
    assert set(FLEET_BREAKS) == set(laws.FLEET_LAWS)


def test_every_law_of_the_design_has_a_holder() -> None:
    assert set(DESIGN) == set(range(1, 12))
    assert all(DESIGN.values())


@pytest.mark.parametrize(("number", "holder"), [(number, holder) for number, holders in DESIGN.items() for holder in holders])
def test_what_holds_a_law_of_the_design_is_there_and_can_fail(number: int, holder: laws.Law | str) -> None:
    if callable(holder):
        assert BREAKS[holder], number
    else:
        path, _, name = holder.partition("::")
        assert why_not(path, name) == "", number


@pytest.mark.parametrize(
    ("law", "broken", "reported"),
    [
        pytest.param(law, *case, id=f"{law.__name__}-{number}")
        for law, cases in BREAKS.items()
        for number, case in enumerate(cases)
    ],
)
def test_a_broken_law_is_told_with_reason_and_remedy(law: laws.Law, broken: Callable[[], Placement], reported: str) -> None:
    found = [problem for problem in law(broken()) if reported in problem.what]
    assert found, f"{law.__name__} does not see it"
    assert found[0].why
    assert found[0].fix


@pytest.mark.parametrize(("law", "second", "reported"), [(law, *case) for law, cases in FLEET_BREAKS.items() for case in cases])
def test_a_law_broken_by_two_hosts_is_told_with_reason_and_remedy(
    law: laws.FleetLaw, second: Callable[[], Placement], reported: str
) -> None:
    pair = (placement(), second())
    found = [problem for problem in law(pair) if reported in problem.what]
    assert found
    assert found[0].why
    assert found[0].fix


def test_a_link_to_a_service_that_two_hosts_have_is_refused_with_both() -> None:
    another = placement(host=replace(HOST, name="another", address="203.0.113.12"))
    found = list(laws.fleet.links_lead_to_vpn_routes((placement(), another, _linked(LINK))))
    assert "seko: the link of alloy to loki leads to sese, another" in [problem.what for problem in found]


def test_the_user_that_deploys_is_no_services_and_neither_is_the_first_one_of_a_distribution() -> None:
    """A sandbox that got out as user 1000 wrote a key for the user that deploys, which was 1000 too."""
    assert DEPLOY_UID in PEOPLE and 1000 in PEOPLE
    for machine in placements():
        uids = {service.uid for service in machine.services} - {0, 1000}
        assert not [uid for uid in uids if uid in PEOPLE]


@pytest.mark.parametrize("law", [*laws.GRAPH_LAWS, *laws.LAWS], ids=lambda law: law.__name__)
def test_a_law_says_nothing_of_what_obeys_it(law: laws.Law) -> None:
    assert [str(problem) for here in WHOLE for problem in law(here)] == []


@pytest.mark.parametrize("law", laws.FLEET_LAWS, ids=lambda law: law.__name__)
def test_a_law_of_several_hosts_says_nothing_of_those_that_obey_it(law: laws.FleetLaw) -> None:
    whole = [replace(here, host=replace(here.host, address=f"{here.host.name}.test")) for here in WHOLE]
    assert [str(problem) for problem in law(whole)] == []
    assert [str(problem) for problem in law((placement(), _linked(LINK)))] == []


def test_memory_may_be_used_up_to_the_reserve_and_the_largest_are_named() -> None:
    total = sum(service.limits.memory_mib for service in placement().services)
    exact = replace(HOST, memory_mib=total + HOST.reserve_mib)
    assert list(laws.capacity.memory_fits(placement(host=exact))) == []
    (reported,) = laws.capacity.memory_fits(placement(host=replace(exact, memory_mib=exact.memory_mib - 1)))
    assert f"add up to {total} MiB; the host has {exact.memory_mib - 1} MiB, {HOST.reserve_mib} of them reserved" in reported.what
    largest = sorted(placement().services, key=lambda service: -service.limits.memory_mib)
    assert all(f"{service.name} {service.limits.memory_mib}" in reported.fix for service in largest[:3])
    assert largest[3].name not in reported.fix


@pytest.mark.parametrize(("interval", "reported"), [(9, True), (10, False), (30, False), (31, True)])
def test_a_service_is_checked_every_ten_to_thirty_seconds(interval: int, reported: bool) -> None:
    found = laws.running.healthchecks_are_sound(with_service("redis", healthcheck=replace(PROBE, interval=interval)))
    assert [problem.what for problem in found] == ([f"sese: redis is checked every {interval} s"] if reported else [])


def test_a_healthcheck_without_a_command_is_none() -> None:
    (reported,) = laws.running.healthchecks_are_sound(with_service("redis", healthcheck=replace(PROBE, command=())))
    assert "is empty" in reported.what


def test_the_smallest_limits_are_limits() -> None:
    assert list(laws.confinement.services_are_confined(with_service("redis", limits=Limits(memory_mib=1, cpus=0.05)))) == []


def test_a_circle_is_told_from_one_of_its_services_back_to_it() -> None:
    (reported,) = laws.graph.needs_are_met(with_service("redis", needs=("litellm",)))
    circle = reported.what.rpartition(": ")[2].split(" -> ")
    assert circle[0] == circle[-1]
    assert set(circle) == {"litellm", "redis"}


def test_what_stands_after_a_service_without_files_is_looked_at_too() -> None:
    bare, broken = replace(placement().services[0], configuration=None), _configuration(FILE, FILE)
    redis = next(service for service in placement().services if service.name == "redis")
    (reported,) = laws.running.files_are_taken_up(placement(bare, replace(redis, configuration=broken)))
    assert "redis has 2 files at redis.conf" in reported.what


@pytest.mark.parametrize(
    ("access", "relayed", "reached"), [(Access.VPN, False, True), (Access.PUBLIC, True, True), (Access.PUBLIC, False, False)]
)
def test_a_link_leads_to_what_members_may_ask_for(access: Access, relayed: bool, reached: bool) -> None:
    first = with_service("loki", routes=(replace(_route(access), relayed=relayed),))
    found = [problem.what for problem in laws.fleet.links_lead_to_vpn_routes((first, _linked(LINK)))]
    assert (found == []) == reached


def test_each_side_of_a_conflict_is_named_once() -> None:
    (twice,) = laws.graph.names_are_unique(placement(networks=(*NETWORKS, NETWORKS[0])))
    assert twice.what == "sese: the network name 'frontend' is used 2 times"
    reported = [problem.what for problem in laws.networks.host_ports_are_used_once(with_service("redis", ports=(PORT,)))]
    assert len(reported) == 1
    assert len(list(laws.running.files_are_taken_up(with_service("redis", configuration=_configuration(FILE, FILE))))) == 1
    assert len(list(laws.fleet.hosts_are_distinct((placement(), placement(host=replace(HOST, name="seko")))))) == 1


def test_all_broken_laws_are_told_at_once_of_every_host() -> None:
    broken = with_service("redis", networks=("bakcend",), healthcheck=replace(PROBE, interval=60), secrets=())
    second = replace(broken, host=replace(SECOND, name="sese"))
    reported = [problem.what for problem in laws.broken_laws([broken, second])]
    assert reported[0] == "the name 'sese' belongs to 2 hosts"
    for what in ("joins an unknown network 'bakcend'", "is checked every 60 s", "refers to the secret 'redis_health_password'"):
        assert sum(what in sentence for sentence in reported) == 2, what


def test_laws_that_need_a_sound_graph_are_asked_only_of_one() -> None:
    reported = [problem.what for problem in laws.broken_laws([with_service("redis", needs=("litellm",), networks=())])]
    assert len(reported) == 1
    assert "circle" in reported[0]


def test_an_image_of_the_default_registry_may_be_named_shortly() -> None:
    assert list(laws.confinement.services_are_confined(with_service("redis", image="redis:8.0"))) == []


@pytest.mark.parametrize(("length", "reported"), [(23, 1), (24, 0)])
def test_a_generated_secret_has_24_characters_or_more(length: int, reported: int) -> None:
    assert (
        len(list(laws.secrets.secrets_are_sound(_with_secret(Secret(name="own", source=Generated(length=length)))))) == reported
    )


@pytest.mark.parametrize(
    ("first", "second", "reported"),
    [
        (VOLUME, VOLUME, 1),
        (replace(VOLUME, shared=True), replace(VOLUME, shared=True), 0),
        (replace(VOLUME, shared=True), replace(VOLUME, shared=True, owner="1:1"), 1),
    ],
)
def test_a_directory_is_shared_where_both_say_so_in_the_same_words(first: Volume, second: Volume, reported: int) -> None:
    here = {service.name: service for service in placement().services}
    pair = (replace(here["postgresql"], volumes=(first,)), replace(here["redis"], volumes=(second,)))
    assert len([problem for problem in laws.data.data_is_owned(placement(*pair)) if "belongs to" in problem.what]) == reported
