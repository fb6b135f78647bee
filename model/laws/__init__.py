"""The laws of a fleet: functions from one placement, or from all of them, to the problems found."""

from collections.abc import Callable, Iterator, Sequence

from model.laws import capacity, confinement, data, fleet, graph, networks, routes, running, secrets
from model.placement import Placement
from model.problem import Problem

Law = Callable[[Placement], Iterator[Problem]]
FleetLaw = Callable[[Sequence[Placement]], Iterator[Problem]]


def broken_laws(placements: Sequence[Placement]) -> tuple[Problem, ...]:
    """Every problem of every placement. Laws that need a sound graph are skipped where a graph law is broken."""
    found = [problem for fleet_law in FLEET_LAWS for problem in fleet_law(placements)]
    for placement in placements:
        wrong = [problem for law in GRAPH_LAWS for problem in law(placement)]
        found += wrong or [problem for law in LAWS for problem in law(placement)]
    return tuple(found)


FLEET_LAWS: tuple[FleetLaw, ...] = (
    fleet.hosts_are_distinct,
    fleet.host_names_are_distinct,
    fleet.site_names_are_distinct,
    fleet.links_lead_to_vpn_routes,
)
GRAPH_LAWS: tuple[Law, ...] = (graph.names_are_unique, graph.needs_are_met)
LAWS: tuple[Law, ...] = (
    networks.networks_do_not_overlap,
    networks.networks_are_known,
    networks.host_ports_are_used_once,
    networks.only_caddy_publishes,
    routes.routes_are_answered,
    routes.strangers_are_limited,
    routes.paths_have_one_answer,
    capacity.memory_fits,
    confinement.services_are_confined,
    running.healthchecks_are_sound,
    secrets.secrets_are_declared,
    secrets.secrets_are_sound,
    data.data_is_owned,
    data.data_is_backed_up,
    data.what_is_kept_has_a_place,
    confinement.users_are_their_own,
    running.files_are_taken_up,
    confinement.hosts_are_shown_with_reason,
    running.monitoring_is_declared,
    networks.links_leave_by_networks_of_their_own,
    graph.tasks_run_in_their_service,
)
