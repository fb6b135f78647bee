"""renovate.json finds what it is to raise: each image tag of the services and of the lock, the actions, the Go modules."""

import json
import re
from fnmatch import fnmatch
from typing import Any

from operations.reference.catalogue import example_fleet
from tests.support.fleets import PROJECT

SETTINGS: dict[str, Any] = json.loads((PROJECT / "renovate.json").read_text())
SERVICES, LOCK = SETTINGS["customManagers"]


def _found(manager: dict[str, Any]) -> dict[str, set[str]]:
    """Each image that a manager finds, with the digests that stand beside it."""
    found: dict[str, set[str]] = {}
    for pattern in manager["managerFilePatterns"]:
        # Between slashes: a regular expression, else a glob.
        file = re.compile(pattern.strip("/"))
        for path in sorted(PROJECT.glob("services/**/*.py")) + sorted(PROJECT.glob("*.yaml")):
            if not file.search(str(path.relative_to(PROJECT))):
                continue
            for match in manager["matchStrings"]:
                # RE2, in which JavaScript's named groups are written without a P.
                for dependency in re.finditer(match.replace("(?<", "(?P<"), path.read_text()):
                    named = dependency.groupdict()
                    found.setdefault(f"{named['depName']}:{named['currentValue']}", set()).add(named.get("currentDigest") or "")
    return found


def test_every_image_of_the_services_is_found() -> None:
    assert set(_found(SERVICES)) == set(example_fleet().images())


def test_every_line_of_the_lock_is_found() -> None:
    lines = [line for line in (PROJECT / "images.lock.yaml").read_text().splitlines() if line and not line.startswith("#")]
    assert set(_found(LOCK)) == {line.rpartition(": ")[0] for line in lines}


def test_a_digest_of_the_lock_is_found() -> None:
    digest = f"sha256:{'0123456789abcdef' * 4}"
    found = re.search(LOCK["matchStrings"][0].replace("(?<", "(?P<"), f"docker.io/library/redis:8.0-bookworm: {digest}\n")
    assert found
    assert found["currentDigest"] == digest


def test_no_pattern_needs_what_re2_lacks() -> None:
    for manager in (SERVICES, LOCK):
        for match in manager["matchStrings"]:
            assert not re.search(r"\(\?(?:[=!]|<[=!])|\\[1-9]", match), match


def test_go_modules_actions_and_packages_are_asked_for_and_none_of_them_is_left_out() -> None:
    assert {"github-actions", "gomod", "pep621", "dockerfile"} <= set(SETTINGS["enabledManagers"])
    left_out = SETTINGS["ignorePaths"]
    kept = [*PROJECT.glob("toolchain/*/go.mod"), *PROJECT.glob("images/*/go.mod"), *PROJECT.glob("images/*/Dockerfile")]
    kept += [*PROJECT.glob(".github/**/*.yml"), PROJECT / "pyproject.toml", PROJECT / "images.lock.yaml"]
    assert len(kept) > 25
    for path in kept:
        name = str(path.relative_to(PROJECT))
        assert not any(fnmatch(name, pattern) for pattern in left_out), name


def test_our_own_images_are_not_raised_by_others() -> None:
    disabled = [rule for rule in SETTINGS["packageRules"] if rule.get("enabled") is False and "matchUpdateTypes" not in rule]
    patterns = [pattern for rule in disabled for pattern in rule["matchPackageNames"]]
    ours = [image for image in example_fleet().images() if "mobutoo" in image]
    assert len(ours) >= 5
    for image in ours:
        assert any(fnmatch(image.rpartition(":")[0], pattern) for pattern in patterns), image
