"""A host's nightly backup: one program, and the timer that starts it."""

from dataclasses import dataclass

from components.host.files import HostFile, installed

TIMER = "vpai-backup.timer"
HOURLY = "vpai-backup-databases.timer"
"""Installed even if the settings do not ask for it: the plan decides, so that a changed setting leaves nothing over."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When a host is backed up, and by which plan."""

    base: str
    """/opt/<project>."""
    time: str
    """HH:MM in `timezone`."""
    timezone: str
    delay_minutes: int
    """The longest random delay, so that hosts do not call the bucket in the same second."""

    @property
    def plan(self) -> str:
        """The directory with the plan in force."""
        return f"{self.base}/config/backup/current"


def nightly(schedule: Schedule) -> tuple[HostFile, ...]:
    """The program, its service and its timer. A missed night is made up for at the host's next start."""
    program = installed("vpai-backup")
    service = f"""[Unit]
Description=Back up what this host holds
ConditionPathExists={schedule.plan}/plan.json
Wants=network-online.target
After=network-online.target docker.service

[Service]
Type=oneshot
ExecStart={program.path} {schedule.plan} run
ExecStopPost={program.path} {schedule.plan} release
TimeoutStartSec=4h
Nice=10
IOSchedulingClass=idle
"""
    hourly = f"""[Unit]
Description=Back up the databases, where the plan asks for it
ConditionPathExists={schedule.plan}/plan.json
After=network-online.target docker.service

[Service]
Type=oneshot
ExecStart={program.path} {schedule.plan} run --databases
TimeoutStartSec=50min
Nice=10
IOSchedulingClass=idle
"""
    every_hour = """[Unit]
Description=Back up the databases every hour

[Timer]
OnCalendar=hourly
RandomizedDelaySec=5min

[Install]
WantedBy=timers.target
"""
    timer = f"""[Unit]
Description=Back up every night

[Timer]
OnCalendar=*-*-* {schedule.time}:00 {schedule.timezone}
RandomizedDelaySec={schedule.delay_minutes}min
Persistent=true

[Install]
WantedBy=timers.target
"""
    directory = "/etc/systemd/system"
    return (
        program,
        HostFile(f"{directory}/vpai-backup.service", service),
        HostFile(f"{directory}/{TIMER}", timer),
        HostFile(f"{directory}/{HOURLY.replace('timer', 'service')}", hourly),
        HostFile(f"{directory}/{HOURLY}", every_hour),
    )
