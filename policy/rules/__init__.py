"""Every rule of the pack, one module a topic."""

from collections.abc import Sequence

from policy.rule import Rule
from policy.rules import (
    buckets,
    containers,
    cost,
    daemon,
    firewall,
    hetzner,
    hygiene,
    images,
    networks,
    secrets,
    ssh,
)

RULES: Sequence[Rule] = (
    *hygiene.RULES,
    *containers.RULES,
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
