"""What an attacker's reading of the pack found on 29 November 2026 (commit 42be7a5): each passed, and is refused now."""

import json
from collections.abc import Mapping, Sequence

import pytest

from policy.program import BUCKET, CLOUD_FIREWALL, CONTAINER, DOCKER_VOLUME, HOST_ACCESS, LOCAL_COMMAND, SERVICE
from tests.policy.cases import CASES
from tests.policy.planted import Planted, tell

_SOUND_ACCESS = CASES["ssh-daemon"].obeys[0]
_FORWARD = str(_SOUND_ACCESS.inputs["files"]["/etc/vpai/forward.v4"]["content"])
_SSHD = str(_SOUND_ACCESS.inputs["files"]["/etc/ssh/sshd_config.d/10-vpai.conf"]["content"])


def _container(**inputs: object) -> Planted:
    return CASES["containers-user"].obeys[0].with_inputs(**inputs)


def _bind(path: str) -> Planted:
    return _container(volumes=[{"hostPath": path, "containerPath": "/seen", "readOnly": True}])


def _access(forward: str = _FORWARD, sshd: str = _SSHD) -> Planted:
    files = {"/etc/vpai/forward.v4": {"content": forward}, "/etc/ssh/sshd_config.d/10-vpai.conf": {"content": sshd}}
    return Planted(type=HOST_ACCESS, name="sese-access", inputs={**_SOUND_ACCESS.inputs, "files": files})


def _command(**inputs: object) -> Planted:
    return Planted(type=LOCAL_COMMAND, name="task", inputs={"create": "true", "delete": ": it only looks", **inputs})


_ALLOWS_ALL = json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []})
_TO_ALL_BUT_ONE = {
    "Effect": "Allow",
    "NotPrincipal": {"AWS": ["arn:aws:iam:::user/p1:KEY"]},
    "Action": "s3:GetObject",
    "Resource": "arn:aws:s3:::example-org-backups/*",
}
_HALVES = {"direction": "in", "protocol": "tcp", "port": "22", "sourceIps": ["0.0.0.0/1", "128.0.0.0/1"]}
_WAIVER = {"rule": "containers-user", "reason": "because", "until": "2999-12-31", "subject": ""}

LIST: Mapping[str, tuple[str, Sequence[Planted]]] = {
    "//etc": ("containers-host-directories", [_bind("//etc")]),
    "/opt/../etc": ("containers-host-directories", [_bind("/opt/../etc")]),
    "a volume whose driver binds": (
        "containers-host-directories",
        [Planted(type=DOCKER_VOLUME, name="host", inputs={"driverOpts": {"type": "none", "o": "bind", "device": "/"}})],
    ),
    "new privileges after none": (
        "containers-no-new-privileges",
        [_container(securityOpts=["no-new-privileges:true", "no-new-privileges:false"])],
    ),
    "a profile that allows all": (
        "containers-security-profiles",
        [_container(securityOpts=["no-new-privileges:true", f"seccomp={_ALLOWS_ALL}"])],
    ),
    "user 00": ("containers-user", [_container(user="00")]),
    "tmpfs whose last word is exec": ("containers-tmpfs", [_container(tmpfs={"/tmp": "noexec,nosuid,exec,suid"})]),
    "docker.Service": ("coverage-types", CASES["coverage-types"].breaks[0]),
    "docker.Plugin": ("coverage-types", CASES["coverage-types"].breaks[1]),
    "an image by tag, not pulled by the program": ("images-pinned", [_container(image="docker.io/library/redis:8.0-bookworm")]),
    "SSH for both halves of the Internet": (
        "hetzner-ssh-closed",
        [Planted(type=CLOUD_FIREWALL, name="app-prod-firewall", inputs={"rules": [_HALVES]})],
    ),
    "RETURN before the DROPs": (
        "firewall-forward-closed",
        [_access(forward=_FORWARD.replace(":DOCKER-USER - [0:0]\n", ":DOCKER-USER - [0:0]\n-A DOCKER-USER -j RETURN\n"))],
    ),
    "permitrootlogin in another case": ("ssh-daemon", [_access(sshd="permitrootlogin yes\n" + _SSHD)]),
    "NotPrincipal": (
        "buckets-private",
        [Planted(type=BUCKET, name="backups", inputs={"policy": json.dumps({"Statement": [_TO_ALL_BUT_ONE]})})],
    ),
    "docker run --privileged": ("hygiene-docker-commands", [_command(create="docker run --rm --privileged redis true")]),
    "a password in a command's environment": (
        "secrets-command-line",
        [_command(environment={"PGPASSWORD": "correct horse battery staple"})],
    ),
    "a waiver until 2999": (
        "hygiene-waivers",
        [Planted(type=SERVICE, name="sese-redis", inputs={"waivers": [_WAIVER]})],
    ),
}


@pytest.mark.parametrize("line", LIST)
def test_a_line_of_the_list_is_found(line: str) -> None:
    rule, program = LIST[line]
    assert tell(program, preview=False).broken.get(rule), f"{rule} does not find {line}"


def test_the_programs_around_the_list_are_sound() -> None:
    """Else a line would be found for something else."""
    rules = {rule for rule, _ in LIST.values()}
    reported = tell([_container(), _access(), _command()], preview=False)
    assert not rules & set(reported.broken)
    assert _container().type == CONTAINER
