"""Writes docs/reference/hardening.md from the tables of controls: `python -m components.host.hardening`."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from components.host import docker_daemon, sshd, sysctl
from components.host.control import Control, Inherent, Setting

DOCUMENT = Path("docs/reference/hardening.md")

_HEAD = """# Hardening of the hosts

Which published controls a host meets, by what, and which are waived, with the reason. Written by
`python -m components.host.hardening` from the values that the deployment itself uses; a test holds it.
`make drift` compares a running host with the same values.

What else a host has, without a published list: `components/host/baseline.py` (packages, users, upgrades, bans, audit rules).
A container that plays a host in the lab does not show swap, kernel parameters, auditd, the clock and apt's timers.
"""

_SECTIONS: tuple[tuple[str, str, Mapping[str, Control]], ...] = (
    (
        "sshd: dev-sec ssh-baseline",
        'Edition 2024-08, server side: 49 controls. ssh-audit 3.9.0\'s policy "Hardened Debian 13 (version 1)" passes too; for '
        "Ubuntu 24.04 the key exchanges are fewer than its policy lists, hybrid post-quantum ones only.",
        sshd.CONTROLS,
    ),
    ("Docker daemon: CIS Docker benchmark, section 2", "Ids as in docker-bench-security, 2024-10.", docker_daemon.CONTROLS),
    (
        "Kernel: dev-sec linux-baseline, sysctl",
        "Edition 2026-05; control 35 could not be looked up. 29 and later belong to the whole kernel.",
        {**sysctl.NETWORK_CONTROLS, **sysctl.KERNEL_CONTROLS},
    ),
)


def document() -> str:
    """The text of the page."""
    return "\n".join([_HEAD, *(_section(*section) for section in _SECTIONS)])


def _section(title: str, edition: str, controls: Mapping[str, Control]) -> str:
    waived = sum(not isinstance(control, Setting | Inherent) for control in controls.values())
    head = f"## {title}\n\n{edition}\n{len(controls) - waived} met, {waived} waived.\n"
    rows = ["| id | control | met by | remark |", "| --- | --- | --- | --- |", *_rows(controls)]
    return "\n".join([head, *rows]) + "\n"


def _rows(controls: Mapping[str, Control]) -> Iterator[str]:
    for name, control in controls.items():
        if isinstance(control, Inherent):
            met, remark = "by itself", control.reason
        elif isinstance(control, Setting):
            met, remark = _values(control.values) or "see remark", control.note
        else:
            met = f"**waived**{f'; {_values(control.values)}' if control.values else ''}"
            remark = control.reason
        yield f"| {name} | {control.title} | {met} | {remark} |".replace("|  |", "| |")


def _values(values: Mapping[str, str]) -> str:
    return ", ".join(f"`{key} {value}`" for key, value in values.items())


if __name__ == "__main__":
    DOCUMENT.parent.mkdir(exist_ok=True)
    DOCUMENT.write_text(document())
