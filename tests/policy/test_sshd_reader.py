"""The pack reads sshd's configuration as sshd does: OpenSSH itself is asked about what hypothesis writes."""

import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policy.meaning.sshd import keyword, read, value
from policy.program import HOST_ACCESS
from policy.rules.ssh import SSHD
from tests.policy.planted import Planted
from tests.policy.test_meaning import found

_VALUES = {
    "PermitRootLogin": ["no", "yes", "prohibit-password"],
    "StrictModes": ["yes", "no"],
    "LogLevel": ["VERBOSE", "INFO", "verbose", "DEBUG3"],
    "LoginGraceTime": ["30", "30s", "1m", "0m30s", "120"],
    "MaxAuthTries": ["2", "02", "6"],
    "PubkeyAuthentication": ["yes", "no"],
    "PasswordAuthentication": ["no", "yes", "NO"],
    "PermitEmptyPasswords": ["no", "yes"],
    "ChallengeResponseAuthentication": ["no", "yes"],
    "KbdInteractiveAuthentication": ["no", "yes"],
    "AllowTcpForwarding": ["no", "yes", "local"],
    "AllowAgentForwarding": ["no", "yes"],
    "X11Forwarding": ["no", "yes"],
}
_PRINTED = {"permitrootlogin": {"prohibit-password": "without-password"}}
"""What `sshd -T` calls it by another name."""


@st.composite
def _line(draw: st.DrawFn) -> str:
    key = draw(st.sampled_from(sorted(_VALUES)))
    said = draw(st.sampled_from(_VALUES[key]))
    written = draw(st.sampled_from([key, key.lower(), key.upper(), key.swapcase()]))
    separator = draw(st.sampled_from([" ", "\t", "=", " = ", "  "]))
    said = draw(st.sampled_from([said, f'"{said}"']))
    return draw(st.sampled_from(["", "  ", "\t"])) + written + separator + said + draw(st.sampled_from(["", " ", " # so"]))


_LINES = st.lists(
    st.one_of(_line(), st.sampled_from(["# PermitRootLogin yes", "", "AllowUsers a", "AllowUsers b c"])), max_size=12
)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    base = tmp_path_factory.mktemp("sshd")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", base / "key"], check=True)
    (base / "sshd_config.d").mkdir()
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    yield base


def _asked(directory: Path, files: dict[str, str]) -> dict[str, list[str]]:
    """What `sshd -T` prints, by keyword."""
    for old in (directory / "sshd_config.d").iterdir():
        old.unlink()
    for path, text in files.items():
        (directory / path.removeprefix("/etc/ssh/")).write_text(text.replace("/etc/ssh/", f"{directory}/"))
    command = ["/usr/sbin/sshd", "-T", "-f", f"{directory}/sshd_config", "-h", f"{directory}/key"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    printed: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        key, _, said = line.partition(" ")
        printed.setdefault(key, []).append(said)
    return printed


@settings(max_examples=120, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(before=_LINES, first=_LINES, second=_LINES, after=_LINES)
def test_what_the_pack_reads_is_what_sshd_says(
    directory: Path, before: list[str], first: list[str], second: list[str], after: list[str]
) -> None:
    files = {
        "/etc/ssh/sshd_config": "\n".join([*before, "Include /etc/ssh/sshd_config.d/*.conf", *after]) + "\n",
        "/etc/ssh/sshd_config.d/10-one.conf": "\n".join(first) + "\n",
        "/etc/ssh/sshd_config.d/20-two.conf": "\n".join(second) + "\n",
    }
    printed = _asked(directory, files)
    ours = read(files)
    assert not ours.unseen
    for key, said in ours.values.items():
        if key == "allowusers":
            assert printed[key] == said.split()
            continue
        read_as = value(key, said)
        assert printed[key] == [printed[key][0]]
        assert value(key, printed[key][0]) == _PRINTED.get(key, {}).get(read_as, read_as), key


_SOUND = "AllowUsers deploy\n" + "".join(f"{key} {wanted}\n" for key, wanted in SSHD.values())
_WRONG = {
    "PermitRootLogin": "yes",
    "PasswordAuthentication": "yes",
    "MaxAuthTries": "6",
    "AllowTcpForwarding": "local",
    "ChallengeResponseAuthentication": "yes",
    "KbdInteractiveAuthentication": "yes",
    "LoginGraceTime": "2m",
    "PermitUserEnvironment": "yes",
}


_OURS = "sshd_config.d/10-vpai.conf"


def _access(files: Mapping[str, str]) -> Planted:
    """A host whose sshd reads these files below /etc/ssh."""
    placed = {f"/etc/ssh/{name}": {"content": text} for name, text in files.items()}
    return Planted(type=HOST_ACCESS, name="sese-access", inputs={"files": placed})


@st.composite
def _loose(draw: st.DrawFn) -> str:
    key = draw(st.sampled_from(sorted(_WRONG)))
    written = draw(st.sampled_from([key, key.lower(), key.upper(), key.swapcase()]))
    return written + draw(st.sampled_from([" ", "=", " = ", "\t"])) + draw(st.sampled_from(["{}", '"{}"'])).format(_WRONG[key])


@settings(max_examples=120, deadline=None, derandomize=True, database=None)
@given(_loose(), st.integers(0, 6), st.sampled_from(["# a note\n", "", "Port 804\n"]))
def test_a_value_that_sshd_takes_before_ours_is_found(line: str, how: int, note: str) -> None:
    before = [
        {_OURS: f"{note}{line}\n{_SOUND}"},
        {_OURS: _SOUND, "sshd_config.d/05-x.conf": f"{note}{line}\n"},
        {_OURS: f"{_SOUND}Match all\n{line}\n"},
        {_OURS: f"{_SOUND}MATCH User root\n  X11Forwarding no\n  {line}\n"},
        {_OURS: _SOUND, "sshd_config.d/90-x.conf": f"match address 203.0.113.0/24\n{line}\n"},
        {_OURS: _SOUND, "sshd_config": f"{line}\nInclude /etc/ssh/sshd_config.d/*.conf\n"},
        {_OURS: f"{line}\nMatch User x\n{_SOUND}"},
    ]
    name = keyword(line.replace("=", " ").split()[0])
    assert any(keyword(what.split(" has ")[-1].split()[0]) == name for what in found("ssh-daemon", _access(before[how])))


@settings(max_examples=120, deadline=None, derandomize=True, database=None)
@given(_loose(), st.booleans(), st.sampled_from([str, str.lower, str.upper, str.swapcase]))
def test_a_value_that_sshd_takes_after_ours_changes_nothing(line: str, apart: bool, cased: Callable[[str], str]) -> None:
    ours = cased(_SOUND)
    after = {_OURS: ours, "sshd_config.d/90-x.conf": line} if apart else {_OURS: f"{ours}{line}\n"}
    assert not found("ssh-daemon", _access(after))


@pytest.mark.parametrize("users", ["*", "deploy *", "*@203.0.113.7", "dep?oy", "!root"])
def test_users_whom_nothing_names_are_found(users: str) -> None:
    assert found("ssh-daemon", _access({_OURS: _SOUND.replace("deploy", users)}))


@pytest.mark.parametrize("pattern", ["/etc/ssh/other.conf", "more/*.conf", "~/x"])
def test_an_include_that_nobody_sees_is_found(pattern: str) -> None:
    assert found("ssh-daemon", _access({_OURS: f"Include {pattern}\n{_SOUND}"}))


def test_a_keyword_is_known_by_each_of_its_names() -> None:
    assert keyword("ChallengeResponseAuthentication") == keyword("kbdinteractiveauthentication")
