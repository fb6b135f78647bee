"""Whether what these tests look at has changed since they last passed here.

They raise further labs and break every stand-in in each way, for ten minutes. `make test` runs them when this content is
new on this machine, `make test-lab` always.
"""

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support.fleets import PROJECT, inputs
from toolchain.provision import cache_directory

_FOLDERS = ("lab", "toolchain", "images", "tests/lab_itself")
_FILES = ("images.lock.yaml", "requirements.txt")


def key() -> str:
    """SHA-256 over the lab's own files, and over what each service of the catalogue asks of its image."""
    digest = hashlib.sha256()
    for path in sorted(_paths()):
        digest.update(f"{path.relative_to(PROJECT)} {path.stat().st_mode & 0o111:o}\0".encode() + path.read_bytes())
    for _, service in inputs("lab").fleet.services():
        what = (service.image, service.entrypoint, service.command, service.user)
        asked = (*what, service.healthcheck, service.environment, service.sysctls)
        digest.update(f"{service.name} {asked}\0".encode())
    return digest.hexdigest()


def _paths() -> Iterator[Path]:
    yield from (PROJECT / name for name in _FILES)
    for folder in _FOLDERS:
        for path in (PROJECT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


def main(words: list[str]) -> int:
    """`key`: print it. `passed KEY`: remember that. `needed KEY`: say so in one line; exit code 0 when the tests have to run."""
    if words == ["key"]:
        print(key())
        return 0
    command, content = words
    mark = cache_directory().with_name("passed") / f"lab-itself-{content}"
    if command == "passed":
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
        return 0
    if mark.exists():
        print(f"tests/lab_itself: left out, they passed here with this content ({content[:12]}); `make test-lab` runs them")
        return 1
    print(f"tests/lab_itself: run, their content is new on this machine ({content[:12]})")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
