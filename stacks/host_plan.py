"""Desired state of each host without its services: baseline, SSH and firewall, from the fleet and the settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from components.host.access import Access
from components.host.backup import Schedule
from components.host.baseline import Baseline, baseline
from components.host.release import Release
from model.firewall import firewall
from model.fleet import Fleet
from model.settings import Settings


@dataclass(frozen=True, kw_only=True)
class HostPlan:
    """One host without its services."""

    baseline: Baseline
    access: Access


def host_plans(fleet: Fleet, settings: Settings, authorized_keys: Sequence[str]) -> Mapping[str, HostPlan]:
    """The plan of every host, by name; raises `model.problem.Refused` where a value would lock an operator out."""
    trusted = tuple(map(str, settings.trusted_addresses))
    return {
        placement.host.name: HostPlan(
            baseline=baseline(
                user=placement.host.user,
                authorized_keys=authorized_keys,
                timezone=settings.timezone,
                docker=bool(placement.services),
                dns=tuple(map(str, settings.nameservers)),
                reboot_window=settings.reboot_window or None,
                trusted=trusted,
                backed_up=_schedule(fleet, settings) if placement.backup else None,
            ),
            access=Access(
                firewall=firewall(placement),
                user=placement.host.user,
                release=Release(placement.host.release),
                trusted=trusted,
                rescue_minutes=settings.rescue_minutes,
            ),
        )
        for placement in fleet.placements
    }


def _schedule(fleet: Fleet, settings: Settings) -> Schedule:
    return Schedule(
        base=f"/opt/{fleet.project}",
        time=settings.backup_time,
        timezone=settings.timezone,
        delay_minutes=settings.backup_delay_minutes,
    )
