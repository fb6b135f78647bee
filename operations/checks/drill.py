"""`make drill`: restores production's latest backup into a temporary copy, from the recovery kit alone.

It needs a Docker engine, the registries, restic and the kit with its key. It needs no state, no host of the fleet and no rented
server. The copy's network has no egress, so that no workflow in it reaches anybody. The hosts' own program restores the data and
compares it with the manifest; then the services answer questions that need whole data.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from components.ssh.host_script import SCRIPTS
from model import backup_plan
from model.fleet import Fleet
from model.image import ImageLock
from model.placement import Placement
from model.problem import Refused
from model.proof import Found
from model.secret import Secret, resolve
from model.service import Service
from operations.backups.prune import restic_program
from operations.checks.images import LOCK
from operations.checks.verify_images import CommandRefused, Engine, dummy_of
from operations.reference.catalogue import example_fleet
from operations.secrets.recovery_kit import opened
from operations.stack import PROJECT

RPO = timedelta(hours=24)
RTO = timedelta(hours=2)
"""Recovery time objective of the specification."""
_ROOT = () if os.geteuid() == 0 else ("sudo", "-n")
"""Data directories belong to their services' users."""
_PROGRAM = SCRIPTS / "installed/vpai-backup.py"


@dataclass
class Copy(Engine):
    """The services of one host on this machine, with data below `base` and names that the host's program finds."""

    base: Path = field(default_factory=Path)

    @property
    def stack(self) -> str:
        return f"drill-{self.run}"

    def labels(self, service: Service) -> Iterator[str]:
        yield from super().labels(service)
        for name, value in (("stack", self.stack), ("service", service.name)):
            yield from ("--label", f"vpai.{name}={value}")

    def volumes(self, service: Service) -> Iterator[str]:
        for volume in service.volumes:
            place = self.base / "data" / volume.directory
            uid, gid = volume.owner.split(":")
            _as_root("install", "-d", "-o", uid, "-g", gid, "-m", f"{volume.mode:04o}", str(place))
            yield from ("--volume", f"{place}:{volume.path}")

    def health(self, service: Service) -> Iterator[str]:
        # An image without a shell gets no healthcheck: it counts as healthy while it runs.
        if self._has(service.image, "sh"):
            check = service.healthcheck
            words = " ".join(shlex.quote(word) for word in check.command)
            yield from ("--health-cmd", words, "--health-interval", "2s", "--health-timeout", f"{check.timeout}s")
            yield from ("--health-retries", "3", "--health-start-period", f"{check.start_period}s")

    def address(self, container: str, port: int) -> str:
        form = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"
        return f"http://{self._docker('inspect', '-f', form, container).split()[0]}:{port}"

    def made(self, services: Sequence[Service], at_once: Callable[[Service], bool]) -> Mapping[str, str]:
        """Create containers, and return their ids by service. `at_once`: whether to start one; the restore starts the others."""
        self.connect(self.stack)
        found = {}
        for service in services:
            self._docker("pull", "--quiet", self._reference(service.image), seconds=900)
            container = self._docker(*self._create(service, self.stack)).strip()
            for path, archive in self._files(service):
                self._docker("cp", "-", f"{container}:{path}", data=archive)
            if at_once(service):
                self._docker("start", container)
            found[service.name] = container
        return found

    def asked(self, container: str, *words: str) -> str:
        return self._docker("exec", container, *words, seconds=300)

    def destroy(self) -> None:
        if found := self._docker("ps", "--all", "--quiet", "--filter", f"label=vpai.verify={self.run}").split():
            self._docker("rm", "--force", "--volumes", *found)
        subprocess.run(["docker", "network", "rm", self.stack], capture_output=True)
        _as_root("rm", "-rf", str(self.base))


@dataclass(frozen=True, kw_only=True)
class Drill:
    """The drill of one host, from its entry in the kit."""

    entry: Mapping[str, Any]
    secrets: Mapping[str, str]
    """Secrets in the kit that are needed to read the data."""
    placement: Placement
    copy: Copy

    def run(self) -> bool:
        """Whether all data matched the manifest within the RTO; prints each step."""
        began = time.monotonic()
        host = self.placement.host.name
        try:
            source = self.copy.base / "run"
            size = self._fetched(source)
            manifest = json.loads(_as_root("cat", str(source / "manifest.json")))
            services, left_out = self._services(set(manifest["items"]))
            for name, why in left_out.items():
                print(f"  {name:<11} not in the drill: {why}")
            kept = {item["service"] for item in self._plan(services)["items"]}
            containers = self.copy.made(services, lambda each: each.name not in kept or _takes_back(each))
            restored = self._restored(source, services)
            seconds = time.monotonic() - began
            answers = list(self._questions(services, containers)) if restored else []
            for name, found in answers:
                print(f"  {name:<11} {'answers' if found.right else 'FAILED '} {found.words}")
            age = datetime.now(UTC) - datetime.fromisoformat(manifest["finished"])
            right = restored and all(found.right for _, found in answers) and age <= RPO and seconds <= RTO.total_seconds()
            hours = age.total_seconds() / 3600
            print(
                f"{host}: drill {'passed' if right else 'FAILED'}: run {manifest['run']}, data {hours:.1f} h old "
                f"(RPO, at most 24), back after {seconds:.0f} s (RTO, at most 7200), {size / 2**20:.1f} MiB fetched, "
                "cost 0.00 EUR: nothing is rented"
            )
        except (CommandRefused, subprocess.CalledProcessError) as error:
            said = getattr(error, "stderr", "") or str(error)
            print(f"{host}: drill FAILED after {time.monotonic() - began:.0f} s: {str(said).strip()[-400:]}")
            return False
        finally:
            self.copy.destroy()
        return right

    def _fetched(self, target: Path) -> int:
        """Fetch the latest complete run that is not from the future; returns its size."""
        export, snapshots, restore = self.entry["commands"]
        program = Path(restic_program())
        path = f"export PATH={program.parent}:$PATH"
        reported = subprocess.run(
            ["bash", "-ec", f"{path}\n{export}\n{snapshots} --json"], capture_output=True, text=True, check=True, timeout=300
        )
        now = datetime.now(UTC)
        runs = [snapshot for snapshot in json.loads(reported.stdout) if datetime.fromisoformat(snapshot["time"]) <= now]
        if not runs:
            raise CommandRefused(f"{self.entry['repository']} has no complete run")
        latest = max(runs, key=lambda each: datetime.fromisoformat(each["time"]))
        fetch = restore.replace("SNAPSHOT", latest["short_id"]).replace("--target out", f"--target {target}")
        subprocess.run([*_ROOT, "bash", "-ec", f"{path}\n{export}\n{fetch} --quiet"], capture_output=True, text=True, check=True)
        return int(latest.get("summary", {}).get("total_bytes_processed", 0))

    def _services(self, kept: set[str]) -> tuple[list[Service], Mapping[str, str]]:
        """Services with data in the run, and their needs, in order; and the services that cannot run here, with the reason."""
        by_name = {service.name: service for service in self.placement.services}
        wanted: set[str] = set()
        left_out: dict[str, str] = {}
        for name in sorted(kept & by_name.keys()):
            closure = _closure(name, by_name)
            mounted = sorted(member for member in closure if by_name[member].host_mounts)
            if mounted:
                left_out[name] = f"{', '.join(mounted)} uses parts of its host"
            else:
                wanted |= closure
        return [service for service in self.placement.in_order() if service.name in wanted], left_out

    def _plan(self, services: Sequence[Service]) -> dict[str, Any]:
        names = {service.name for service in services}
        plan: dict[str, Any] = json.loads(backup_plan.plan(self.placement, stack=self.copy.stack, project="", image=""))
        plan |= {"base": str(self.copy.base), "metrics": str(self.copy.base / "metrics"), "heartbeat": {}}
        plan["items"] = [
            {**item, "also": [other for other in item["also"] if other in names]}
            for item in plan["items"]
            if item["service"] in names
        ]
        plan["services"] = [
            {**service, "needs": [need for need in service["needs"] if need in names]}
            for service in plan["services"]
            if service["name"] in names
        ]
        return plan

    def _restored(self, source: Path, services: Sequence[Service]) -> bool:
        """Restore with the hosts' own program, which compares each item with the manifest."""
        directory = self.copy.base / "plan"
        directory.mkdir()
        secrets = json.loads(resolve(backup_plan.secrets(self.placement), self.copy.secrets))
        (directory / "plan.json").write_text(json.dumps(self._plan(services)))
        (directory / "secrets.json").touch(0o600)
        (directory / "secrets.json").write_text(json.dumps({**secrets, "heartbeat": ""}))
        words = ("restore", "--from", str(source), "--replace")
        return subprocess.run([*_ROOT, sys.executable, str(_PROGRAM), str(directory), *words]).returncode == 0

    def _questions(self, services: Sequence[Service], containers: Mapping[str, str]) -> Iterator[tuple[str, Found]]:
        """The answer of each service with a `proof`, which only whole data gives."""
        for service in services:
            if service.proof:
                try:
                    yield service.name, service.proof(_Restored(self.copy, containers, services, service))
                except (CommandRefused, OSError, ValueError, KeyError) as error:
                    yield service.name, Found(words=str(error), right=False)


@dataclass(frozen=True)
class _Restored:
    """A restored service, as its `proof` sees it."""

    copy: Copy
    containers: Mapping[str, str]
    services: Sequence[Service]
    service: Service

    def inside(self, service: str, *command: str) -> str:
        secrets = next(candidate.with_secrets for candidate in self.services if candidate.name == service)
        return self.copy.asked(self.containers[service], *secrets, *command)

    def secret(self, secret: Secret) -> str:
        return self.copy.secrets[secret.name]

    def ask(self, port: int, path: str, headers: Mapping[str, str], body: object = None) -> Any:
        url = f"{self.copy.address(self.containers[self.service.name], port)}{path}"
        data = json.dumps(body).encode() if body is not None else None
        with urllib.request.urlopen(urllib.request.Request(url, data, dict(headers)), timeout=60) as answer:  # noqa: S310 - a container's
            return json.load(answer)


def drill(kit: Mapping[str, Any], fleet: Fleet, engine: Callable[[Path, dict[str, str]], Copy], host: str = "") -> int:
    """Drill each host of the kit, or one; 0 when all passed. `engine` makes a copy from a base directory and secrets."""
    placements = {placement.host.name: placement for placement in fleet.placements}
    kept = {name: record["value"] for name, record in kit["secrets"].items()}
    chosen = [entry for entry in kit["backups"] if host in ("", entry["host"]) and entry["host"] in placements]
    if not chosen:
        print(f"the kit has no repository of {host or 'any host that is declared'}", file=sys.stderr)
        return 1
    failed = 0
    for entry in chosen:
        print(f"{entry['host']}: drill of {entry['repository']}", flush=True)
        values = {secret.name: kept.get(secret.name) or dummy_of(secret) for secret in fleet.secrets()}
        base = Path(tempfile.mkdtemp(prefix="vpai-drill-"))
        base.chmod(0o755)
        copy = engine(base, values)
        failed += not Drill(entry=entry, secrets=kept, placement=placements[entry["host"]], copy=copy).run()
    return min(failed, 1)


def _takes_back(service: Service) -> bool:
    """Whether the service's data is restored while the service runs."""
    return any(volume.backup.taken_by_service for volume in service.volumes)


def _closure(name: str, by_name: Mapping[str, Service]) -> set[str]:
    found = {name}
    for need in by_name[name].needs:
        if need in by_name:
            found |= _closure(need, by_name)
    return found


def _as_root(*words: str) -> str:
    return subprocess.run([*_ROOT, *words], capture_output=True, text=True, check=True).stdout


def main() -> int:
    """Exit code; 0 when every host's data matched the manifest within the RTO."""
    parser = argparse.ArgumentParser(prog="make drill", description=__doc__)
    parser.add_argument("--stack", default="prod", help="whose image lock and mirror (Pulumi.<stack>.yaml)")
    parser.add_argument("--kit", default="")
    parser.add_argument("--key", default="")
    parser.add_argument("--host", default="")
    arguments = parser.parse_args()
    file = PROJECT / f"Pulumi.{arguments.stack}.yaml"
    settings: dict[str, Any] = (yaml.safe_load(file.read_text()) or {}).get("config") or {} if file.exists() else {}
    lock_file = PROJECT / str(settings.get("vpai:imageLock") or LOCK.name)
    lock = ImageLock(yaml.safe_load(lock_file.read_text()) or {})
    mirror = str(settings.get("vpai:imageMirror") or "")
    try:
        path = Path(arguments.kit or f"recovery-kit-{arguments.stack}.age")
        kit = opened(path, arguments.key or "recovery.key")
        return drill(kit, example_fleet(), lambda base, values: Copy(lock, mirror, secrets=values, base=base), arguments.host)
    except Refused as refused:
        print(refused, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
