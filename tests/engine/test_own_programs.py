"""Runs the Go tests of our own programs: docker-proxy, the webhook gate, the auto-fix worker, the command provider."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.planted.__main__ import planted
from tests.planted.faults import Fault
from tests.support.fleets import PROJECT
from toolchain.build import TAGS
from toolchain.golang import find_go
from toolchain.provision import cache_directory

PROGRAMS = sorted(path.parent.name for path in PROJECT.glob("images/*/go.mod"))


FUZZED = {
    "auto-fix": ("FuzzUnpack",),
    "docker-proxy": ("FuzzContainer", "FuzzExec", "FuzzPath", "FuzzQuestion"),
    "webhook-gate": ("FuzzEvents", "FuzzRequests"),
}
SHARED = ("door.go", "strangers_test.go")
"""Files that each program has a copy of, since each is built from its own directory alone (images.yml)."""


@dataclass(frozen=True)
class Missing:
    """Removes checks from `file` by replacing the texts of `changes`. The fuzz target must then print `shows`."""

    file: str
    changes: Mapping[str, str]
    shows: str


MISSING = {
    ("auto-fix", "FuzzUnpack"): Missing("edit.go", {"slices.Contains(never, ": "slices.Contains(never[1:], "}, "xy"),
    # Found on 29 November 2026: a path with several components, and links in it.
    ("docker-proxy", "FuzzContainer"): Missing("policy.go", {"!inside || !identity.MatchString(name)": "!inside"}, "mount "),
    ("docker-proxy", "FuzzExec"): Missing("policy.go", {'\tmade["User"] = policy.User\n\treturn': "\treturn"}, '"Cmd"|null'),
    # The path that the mux matches is not the path that Docker reads. Either check refuses it.
    ("docker-proxy", "FuzzPath"): Missing(
        "proxy.go",
        {
            'request.URL.RawPath != "" || path.Clean(request.URL.Path) != request.URL.Path': 'path.Base("x") == ""',
            "!isQuestion || !imageName.MatchString(name)": "!isQuestion",
        },
        "became",
    ),
    ("docker-proxy", "FuzzQuestion"): Missing("names.go", {" || at+1+length > len(query)": ""}, "out of range"),
    # An event without an entry has no time, so that it would be accepted for ever.
    ("webhook-gate", "FuzzEvents"): Missing("sender.go", {" || len(document.Entry) == 0 {": " {"}, "taken years later"),
    ("webhook-gate", "FuzzRequests"): Missing(
        "sender.go", {"signature(secret, body))) != 1": "signature(secret, body))) > 1"}, "kept"
    ),
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_passes_its_own_tests(program: str) -> None:
    """Floods from few clients; tests/prove/test_own_programs.py has those from ten thousand."""
    go_test(PROJECT / "images" / program, "-short", GOWORK="off")


@pytest.mark.parametrize(("program", "target"), [(program, target) for program in FUZZED for target in FUZZED[program]])
def test_a_target_holds_for_some_thousand_inputs(program: str, target: str) -> None:
    fuzz(PROJECT / "images" / program, target, inputs=3000)


@pytest.mark.parametrize(("program", "target"), MISSING, ids=lambda word: word)
def test_a_target_finds_the_fault_that_it_is_for(program: str, target: str, tmp_path: Path) -> None:
    missing = MISSING[program, target]
    copy = tmp_path / program
    shutil.copytree(PROJECT / "images" / program, copy)
    with ExitStack() as faults:
        for old, new in missing.changes.items():
            faults.enter_context(planted(copy, Fault(what=target, file=missing.file, old=old, new=new, test=target)))
        with pytest.raises(AssertionError, match=missing.shows):
            fuzz(copy, target, inputs=50_000)


def test_every_fuzz_target_is_run_and_has_a_fault_to_find() -> None:
    written = {
        program: tuple(
            sorted(
                name
                for file in (PROJECT / "images" / program).glob("*_test.go")
                for name in re.findall(r"^func (Fuzz\w+)\(", file.read_text(), re.MULTILINE)
            )
        )
        for program in PROGRAMS
    }
    assert written == FUZZED
    assert set(MISSING) == {(program, target) for program, targets in FUZZED.items() for target in targets}


@pytest.mark.parametrize("file", SHARED)
def test_what_the_programs_share_is_the_same_in_each(file: str) -> None:
    assert len({(PROJECT / "images" / program / file).read_text() for program in PROGRAMS}) == 1


def test_the_command_provider_passes_its_own_tests() -> None:
    # With the toolchain's workspace and flags its compiled packages are used again.
    go_test(PROJECT / "toolchain/command", "-trimpath", "-tags", TAGS)


def test_no_program_is_forgotten() -> None:
    assert PROGRAMS == ["auto-fix", "docker-proxy", "webhook-gate"]


def fuzz(program: Path, target: str, inputs: int) -> int:
    """The number of inputs that the target got; raises on a finding, which is stored in the program's testdata."""
    # Limited by inputs: after a limit in seconds Go sometimes fails with "context deadline exceeded" (seen here).
    # Without -fuzzminimizetime a worker shrinks one new input for a minute.
    flags = ("-run=^$", f"-fuzz=^{target}$", f"-fuzztime={inputs}x", "-fuzzminimizetime=10x")
    said = go_test(program, *flags, GOWORK="off")
    return max(int(count) for count in re.findall(r"execs: (\d+)", said))


def go_test(directory: Path, *flags: str, **environment: str) -> str:
    done = subprocess.run(
        [find_go(cache_directory()), "test", *flags, "./..."],
        cwd=directory,
        env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false", "GOTOOLCHAIN": "local", **environment},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
