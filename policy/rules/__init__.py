"""Every rule of the pack, one module per topic."""

from collections.abc import Sequence

from policy.rule import Rule
from policy.rules import (
    buckets,
    container_files,
    container_limits,
    container_ports,
    container_privileges,
    cost,
    coverage,
    daemon,
    firewall,
    hetzner,
    hygiene,
    images,
    networks,
    secrets,
    ssh,
    waivers,
)

_OTHERS: Sequence[Rule] = (
    *coverage.RULES,
    *hygiene.RULES,
    *container_privileges.RULES,
    *container_limits.RULES,
    *container_files.RULES,
    *container_ports.RULES,
    *images.RULES,
    *networks.RULES,
    *firewall.RULES,
    *ssh.RULES,
    *daemon.RULES,
    *secrets.RULES,
    *hetzner.RULES,
    *buckets.RULES,
    *cost.RULES,
)
RULES: Sequence[Rule] = (*_OTHERS, waivers.rule(_OTHERS))
