"""Sample changes whose previews are committed as reviewed examples; `python -m tests.engine.samples` writes them."""

import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from operations.previews.pull_request import Deployed, against, converged
from tests.support.copies import checkout, unset
from tests.support.fleets import PROJECT

EXAMPLES = PROJECT / "docs" / "reference" / "previews"
_HOSTS = {
    "sese": {"server": {"type": "cx43", "backups": True, "protected": True}, "roles": ["stack"]},
    "seko": {"address": "203.0.113.11", "memoryMib": 2048, "roles": ["hub"]},
    "waza": {"address": "203.0.113.12", "memoryMib": 16384, "roles": ["workstation"]},
}
"""The stack's host is rented, so that a sample can change its server type."""


@dataclass(frozen=True)
class Edit:
    """Replaces one text of a file."""

    file: str
    old: str
    new: str


SAMPLES: Mapping[str, tuple[Edit, ...]] = {
    "readme-only": (Edit("README.md", "# VPAI", "# VPAI, edited"),),
    "environment-edit": (Edit("services/uptime_kuma/__init__.py", '"TZ": timezone', '"TZ": "UTC"'),),
    "image-bump": (
        Edit("services/redis.py", "redis:8.0-bookworm", "redis:8.2-bookworm"),
        Edit("images.lock.yaml", "redis:8.0-bookworm", "redis:8.2-bookworm"),
    ),
    "new-public-route": (
        Edit("services/uptime_kuma/__init__.py", "import Access, Route", "import Access, RateLimit, Route"),
        Edit(
            "services/uptime_kuma/__init__.py",
            "access=Access.VPN, upgrades=True)",
            'access=Access.PUBLIC, reason="customers see whether all is well", upgrades=True, '
            "rate_limit=RateLimit(requests=300, seconds=60))",
        ),
    ),
    "volume-removed": (Edit("services/redis.py", "volumes=(\n            Volume(", "volumes=() and (\n            Volume("),),
    "server-type-changed": (Edit("Pulumi.prod.yaml", "type: cx43", "type: cx53"),),
}


def deployed(directory: Path) -> Deployed:
    """Production as if this checkout had been deployed."""
    return converged(_copy(directory / "checkout"), "prod", directory, "production as an example")


def shown(name: str, base: Deployed, directory: Path) -> str:
    """The preview's text for one sample."""
    head = _copy(directory / "checkout")
    for edit in SAMPLES[name]:
        file = head / edit.file
        text = file.read_text()
        assert edit.old in text, f"{edit.file} no longer has {edit.old}"
        file.write_text(text.replace(edit.old, edit.new))
    text, _ = against(base, head, "prod", directory)
    return text


def _copy(directory: Path) -> Path:
    """A copy of this checkout, with the hosts' settings of an operator."""
    checkout(directory)
    unset(directory)
    file = directory / "Pulumi.prod.yaml"
    settings = yaml.safe_load(file.read_text())
    settings["config"] |= {"vpai:hosts": _HOSTS, "vpai:trustedAddresses": ["203.0.113.7/32"]}
    file.write_text(yaml.safe_dump(settings))
    return directory


def main() -> None:
    EXAMPLES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        for name in ("base", *SAMPLES):
            (Path(temporary) / name).mkdir()
        base = deployed(Path(temporary) / "base")
        for name in sys.argv[1:] or SAMPLES:
            text = shown(name, base, Path(temporary) / name)
            (EXAMPLES / f"{name}.md").write_text(text)
            print(f"== {name}\n{text}", flush=True)


if __name__ == "__main__":
    main()
