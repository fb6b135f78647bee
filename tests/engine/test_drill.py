"""A drill with data that proves itself: the real n8n with a credential, and a vault with a document and its attachment.

CouchDB is the lab's (PouchDB's server): that the real one accepts the files is not shown.
"""

import base64
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pyrage
import pytest
import yaml

from lab import Lab
from lab.engine import docker
from lab.storage import ADMIN
from model import backup_plan
from model.fleet import Fleet
from model.image import ImageLock
from model.placement import Placement
from model.secret import resolve
from operations.checks import drill
from operations.checks.verify_images import dummy_of
from operations.reference.catalogue import example_fleet
from operations.secrets import kit_repositories
from services import couchdb, n8n, storage
from tests.engine.test_backup_program import BUCKET, PROGRAM, OfTheLab
from tests.support import runbook
from tests.support.copies import checkout
from tests.support.fleets import PROJECT
from tests.support.object_storage import ObjectStorage, running

SECRET = "what-only-the-key-opens"
ATTACHMENT = b"the words of an attachment"
KEPT = {"sese": ("postgresql", "n8n"), "seko": ("couchdb",)}


@dataclass(frozen=True)
class Production:
    """Two hosts with a backup of their data."""

    fleet: Fleet
    secrets: Mapping[str, str]
    repositories: list[Mapping[str, Any]]
    images: Mapping[str, str]

    def kit(self, **other: str) -> Mapping[str, Any]:
        kept = {secret.name: self.secrets[secret.name] for secret in self.fleet.secrets() if secret.irreplaceable}
        return {"secrets": {name: {"value": value} for name, value in {**kept, **other}.items()}, "backups": self.repositories}

    def copy(self, base: Path, values: dict[str, str]) -> drill.Copy:
        return OfTheLab(ImageLock({}), secrets=values, base=base, images=self.images)


def _placements(fleet: Fleet, storage_at: ObjectStorage) -> Iterator[Placement]:
    """Placements of the catalogue, limited to `KEPT`, with the test's bucket."""
    for placement in fleet.placements:
        if kept := KEPT.get(placement.host.name):
            assert placement.backup
            to = replace(placement.backup, endpoint=storage_at.endpoint, region=storage_at.region, bucket=BUCKET)
            services = tuple(service for service in placement.in_order() if service.name in kept)
            yield replace(placement, services=services, backup=to)


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory, toolchain: Path) -> Iterator[Production]:
    lab, fleet = Lab.of_checkout(PROJECT), example_fleet()
    recipes = {"postgresql": "postgres", "n8n": "n8n", "couchdb": "couchdb"}
    images = {
        service.image: lab.image(recipes[service.name])
        for placement in fleet.placements
        for service in placement.services
        if service.name in recipes
    }
    secrets = {secret.name: dummy_of(secret) for secret in fleet.secrets()}
    secrets |= {storage.BACKUPS_ACCESS_KEY.name: ADMIN.access_key, storage.BACKUPS_SECRET_KEY.name: ADMIN.secret_key}
    with running(tmp_path_factory.mktemp("s3") / "s3", toolchain) as object_storage:
        object_storage.as_account(ADMIN).create_bucket(Bucket=BUCKET)
        placements = list(_placements(fleet, object_storage))
        for placement in placements:
            name, base = placement.host.name, tmp_path_factory.mktemp(placement.host.name)
            base.chmod(0o755)
            copy = OfTheLab(ImageLock({}), run=f"{os.getpid()}-{name}", secrets=dict(secrets), base=base, images=images)
            try:
                _stand(copy, placement)
                _back_up(copy, placement, lab.image("restic"))
            finally:
                copy.destroy()
        entries = kit_repositories.repositories([placement.backup for placement in placements if placement.backup], secrets)
        yield Production(fleet, secrets, entries, images)


def _stand(copy: OfTheLab, placement: Placement) -> None:
    copy.connect(copy.stack)
    for service in placement.services:
        assert copy._healthy(service, copy.stack) == ""
    if placement.host.name == "sese":
        credential = [{"id": "known", "name": "known", "type": "httpHeaderAuth", "data": {"name": "x", "value": SECRET}}]
        load = "cat > /home/node/.n8n/known.json && n8n import:credentials --input=/home/node/.n8n/known.json"
        service = next(service for service in placement.services if service.name == "n8n")
        words = (*service.with_secrets, "sh", "-c", load)
        docker("exec", "-i", _container(copy, "n8n"), *words, input=json.dumps(credential).encode())
    else:
        document = {"_attachments": {"note.txt": {"content_type": "text/plain", "data": base64.b64encode(ATTACHMENT).decode()}}}
        address = f"{copy.address(_container(copy, 'couchdb'), couchdb.PORT)}/{couchdb.VAULT}/known"
        login = base64.b64encode(f"{couchdb.ADMIN}:{copy.secrets[couchdb.ADMIN_PASSWORD.name]}".encode()).decode()
        headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
        with urlopen(Request(address, json.dumps(document).encode(), headers, method="PUT"), timeout=60) as answer:  # noqa: S310
            assert answer.status == 201


def _container(copy: OfTheLab, service: str) -> str:
    return docker(
        "ps", "-q", "--filter", f"label=vpai.stack={copy.stack}", "--filter", f"label=vpai.service={service}"
    ).stdout.strip()


def _back_up(copy: OfTheLab, placement: Placement, restic: str) -> None:
    plan = json.loads(backup_plan.plan(placement, stack=copy.stack, project="x", image=restic))
    plan |= {"base": str(copy.base), "metrics": str(copy.base / "metrics"), "heartbeat": {}}
    plan["restic"]["network"] = "host"
    secrets = {**json.loads(resolve(backup_plan.secrets(placement), copy.secrets)), "heartbeat": ""}
    secrets |= {"access_key": ADMIN.access_key, "secret_key": ADMIN.secret_key}
    directory = copy.base / "plan"
    directory.mkdir()
    (directory / "plan.json").write_text(json.dumps(plan))
    (directory / "secrets.json").write_text(json.dumps(secrets))
    done = subprocess.run([sys.executable, str(PROGRAM), str(directory), "run"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(autouse=True)
def _restic(toolchain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{toolchain}/bin:{os.environ['PATH']}")


def test_a_drill_decrypts_n8ns_credentials_with_the_kits_key_and_reads_a_document_with_its_attachment(
    production: Production, capfd: pytest.CaptureFixture[str]
) -> None:
    assert drill.drill(production.kit(), production.fleet, production.copy) == 0, capfd.readouterr().out
    said = capfd.readouterr().out
    # n8n's task adds a credential of its own (services/n8n).
    assert "n8n         answers 2 of 2 credentials decrypt with the kit's n8n_encryption_key" in said
    assert f"couchdb     answers a document with 1 attachment, {len(ATTACHMENT)} bytes read, of 1 looked at" in said
    assert "sese: drill passed" in said and "seko: drill passed" in said


def test_the_runbooks_drill_opens_the_sealed_kit_and_brings_everything_back(production: Production, tmp_path: Path) -> None:
    """As an operator types it, in a checkout whose images have digests; docker gets the lab's images by name."""
    directory = tmp_path / "vpai"
    checkout(directory)
    for name in ("toolchain", ".venv"):
        (directory / name).symlink_to(PROJECT / name)
    digest = "sha256:" + "0" * 64
    (directory / "images.lock.yaml").write_text(yaml.safe_dump(dict.fromkeys(production.fleet.images(), digest)))
    identity = pyrage.x25519.Identity.generate()
    (directory / "recovery.key").write_text(f"{identity}\n")
    kit = {**production.kit(), "stack": "prod", "passphrase": "x", "written": "2026-11-30T03:00:00+00:00"}
    (directory / "recovery-kit-prod.age").write_bytes(pyrage.encrypt(json.dumps(kit).encode(), [identity.to_public()]))
    environment = {**os.environ, "PATH": f"{_docker_that_knows(tmp_path, production)}:{os.environ['PATH']}"}

    opened = shlex.split(runbook.one("restore.md", "age -d -i recovery.key recovery-kit-prod.age"))
    done = subprocess.run([_age(tmp_path), *opened[1:]], cwd=directory, capture_output=True, text=True)
    assert json.loads(done.stdout)["backups"] == production.repositories, done.stderr

    line = runbook.one("restore.md", "make drill STACK=prod KIT=recovery-kit-prod.age KEY=recovery.key")
    words = [*shlex.split(line), "--old-file", ".venv/ready"]
    done = subprocess.run(words, cwd=directory, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "sese: drill passed" in done.stdout and "seko: drill passed" in done.stdout


def _docker_that_knows(directory: Path, production: Production) -> Path:
    names = {image.partition(":")[0]: tag for image, tag in production.images.items()}
    program = directory / "bin/docker"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\nimport os, sys\nnames = {names!r}\n"
        "known = lambda word: names.get(word.partition('@')[0].partition(':')[0], word) if '@sha256:' in word else word\n"
        "words = [known(word) for word in sys.argv[1:]]\n"
        f"os.execv({shutil.which('docker')!r}, ['docker', *words] if words[0] != 'pull' else ['docker', 'version'])\n"
    )
    program.chmod(0o755)
    return program.parent


def _age(directory: Path) -> str:
    """Debian's age, unpacked here if it is not installed."""
    if found := shutil.which("age"):
        return found
    subprocess.run(["apt-get", "download", "-qq", "age"], cwd=directory, check=True, capture_output=True)
    [package] = directory.glob("age_*.deb")
    subprocess.run(["dpkg-deb", "-x", str(package), str(directory / "unpacked")], check=True)
    return str(directory / "unpacked/usr/bin/age")


def test_a_drill_with_a_kit_of_another_key_fails_before_anything_is_put_in_place(
    production: Production, capfd: pytest.CaptureFixture[str]
) -> None:
    assert drill.drill(production.kit(n8n_encryption_key="0" * 64), production.fleet, production.copy, "sese") == 1
    said = capfd.readouterr().out
    assert f"written with another {n8n.ENCRYPTION_KEY.name} than this stack has" in said
    assert "drill FAILED" in said
