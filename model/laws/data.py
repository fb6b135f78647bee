"""Data: its owner, its backup and its directory."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from model.backup import PostgresDump, unsound
from model.placement import Placement
from model.problem import Problem
from model.service import Replacement, Volume


def data_is_owned(placement: Placement) -> Iterator[Problem]:
    """Every volume has one owner; a service that owns data is replaced stop-first."""
    owners: dict[str, tuple[str, Volume]] = {}
    for service in placement.services:
        for volume in service.volumes:
            first, its = owners.setdefault(volume.directory, (service.name, volume))
            if first != service.name and not (volume.shared and volume == its):
                yield Problem(
                    what=f"{placement.host.name}: the data directory {volume.directory!r} belongs to {first} and {service.name}",
                    why="two services writing the same files damage them",
                    fix="give each its own directory",
                )
            for inside in placement.services:
                for other in inside.volumes:
                    if PurePosixPath(volume.directory) in PurePosixPath(other.directory).parents:
                        yield Problem(
                            what=f"{placement.host.name}: the data directory {other.directory!r} of {inside.name} lies in"
                            + f" {volume.directory!r} of {service.name}",
                            why="root makes it anew at each `up`, by a path in which the other could put a link",
                            fix="give each its own directory below data/",
                        )
        if (service.volumes or service.ports) and service.replacement is not Replacement.STOP_FIRST:
            yield Problem(
                what=f"{placement.host.name}: {service.name} owns data or a host port but is replaced {service.replacement}",
                why="two versions at once would write the same files or fight for the port",
                fix="use Replacement.STOP_FIRST",
            )


def data_is_backed_up(placement: Placement) -> Iterator[Problem]:
    """Every volume and database is backed up by one job or says why not, and can be read after a restore."""
    for service in placement.services:
        where = f"{placement.host.name}: {service.name}"
        for volume in service.volumes:
            for wrong in unsound(volume.backup):
                yield Problem(
                    what=f"{where}: the backup of {volume.path} {wrong}",
                    why="a backup that does not hold, or cannot be read again, is found missing at the restore",
                    fix="correct the volume's `backup` in services/",
                    example='backup=Nothing(reason="a cache, refilled on demand")',
                )
        dumped = any(isinstance(volume.backup, PostgresDump) for volume in service.volumes)
        if service.databases and not dumped:
            yield Problem(
                what=f"{where} has databases that nothing dumps",
                why="files of a running PostgreSQL are no backup, and what no job knows is not restored",
                fix="let the volume of the server be a PostgresDump",
                example="Volume(path='/var/lib/postgresql', ..., backup=PostgresDump())",
            )
        for database in service.databases:
            for key in database.keys:
                if not key.irreplaceable:
                    yield Problem(
                        what=f"{where}: the database {database.name} cannot be read without {key.name}, which may be rotated",
                        why="a restore after a rotation would bring back rows that nothing decrypts",
                        fix="say on the secret why it is irreplaceable",
                        example='Secret(..., irreplaceable="n8n encrypts every stored credential with it")',
                    )


def what_is_kept_has_a_place(placement: Placement) -> Iterator[Problem]:
    """A service that keeps data in PostgreSQL or Redis has its own user there, on the same host."""
    databases = placement.databases()
    users = {secret for service in placement.services if not service.caches for secret in service.secrets}
    for service in placement.services:
        missing = {
            "keeps": service.keeps and service.keeps not in databases and service.keeps.user,
            "caches": service.caches and service.caches.password not in users and service.caches.user,
        }
        for kept, user in missing.items():
            if user:
                yield Problem(
                    what=f"{placement.host.name}: {service.name} {kept} something as {user}, and nobody beside it knows "
                    "that user",
                    why="its first query would be refused",
                    fix="let it need the store, which then stands on its host",
                    example='needs=("postgresql",)',
                )
