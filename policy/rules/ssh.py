"""SSH: host keys are pinned, and only the deploying user's keys may log in."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from policy.meaning.commands import words_of
from policy.meaning.paths import canonical
from policy.meaning.sshd import keyword, read, value
from policy.program import DOCKER_PROVIDER, HOST_ACCESS, LOCAL_COMMAND, REMOTE_COMMAND, REMOTE_COPY, Program, Resource
from policy.rule import Finding, ResourceRule, Severity

_BLIND = re.compile(
    r"(?i)StrictHostKeyChecking(?:\s*=\s*|\s+)(no|off|false|accept-new)\b"
    r"|(?:User|Global)KnownHostsFile(?:\s*=\s*|\s+)(/+dev/+\S+|none)|KnownHostsCommand(?:\s*=\s*|\s+)\S+"
)
"""Options of ssh that accept any host key. ssh reads options in any case, with blanks or an equals sign."""

_COMMANDS = ("create", "update", "delete", "stdin")

SSHD: Mapping[str, tuple[str, str]] = {
    "sshd-06": ("PermitRootLogin", "no"),
    "sshd-11": ("StrictModes", "yes"),
    "sshd-13": ("LogLevel", "VERBOSE"),
    "sshd-17": ("PermitUserEnvironment", "no"),
    "sshd-18": ("LoginGraceTime", "30"),
    "sshd-19": ("MaxAuthTries", "2"),
    "sshd-22": ("PubkeyAuthentication", "yes"),
    "sshd-23": ("IgnoreRhosts", "yes"),
    "sshd-24": ("IgnoreUserKnownHosts", "yes"),
    "sshd-25": ("HostbasedAuthentication", "no"),
    "sshd-27": ("PasswordAuthentication", "no"),
    "sshd-28": ("PermitEmptyPasswords", "no"),
    "sshd-29": ("ChallengeResponseAuthentication", "no"),
    "sshd-30": ("KerberosAuthentication", "no"),
    "sshd-33": ("GSSAPIAuthentication", "no"),
    "sshd-38": ("PermitTunnel", "no"),
    "sshd-39": ("AllowTcpForwarding", "no"),
    "sshd-40": ("AllowAgentForwarding", "no"),
    "sshd-41": ("GatewayPorts", "no"),
    "sshd-42": ("X11Forwarding", "no"),
}
"""sshd settings required by dev-sec's ssh-baseline; docs/reference/hardening.md has the other controls and their waivers."""


def _host_key(command: Resource, _: Program) -> Iterator[Finding]:
    connection: Any = command.inputs.get("connection") or {}
    for name, endpoint in (("", connection), (" (proxy)", connection.get("proxy") or {})):
        if endpoint and not endpoint.get("hostKey"):
            yield Finding(what=f"{command.name}{name} takes any host's key for that of {endpoint.get('host')}")


def _pinned(resource: Resource, _: Program) -> Iterator[Finding]:
    options = _ssh_options(resource)
    texts = [("sshOpts", " ".join(options))] if resource.type == DOCKER_PROVIDER else resource.texts(*_COMMANDS)
    for key, text in texts:
        if found := _BLIND.search(" ".join(words_of(text))):
            yield Finding(what=f"{resource.name}: {key} says {found[0]}", subject=key)
    configured = any(option.startswith("-F") for option in options)
    if resource.type == DOCKER_PROVIDER and resource.text("host").startswith("ssh://") and not configured:
        yield Finding(what=f"{resource.name} reaches Docker without the ssh_config that pins its host's key", subject="sshOpts")


def _sshd(access: Resource, _program: Program) -> Iterator[Finding]:
    files = access.inputs.get("files") or {}
    texts = {path: str(files[path]["content"]) for path in files if canonical(path).startswith("/etc/ssh/sshd_config")}
    if not texts:
        yield Finding(what=f"{access.name} leaves sshd as the distribution has it", subject="sshd")
        return
    sshd = read(texts)
    for control, (key, wanted) in SSHD.items():
        said = sshd.values.get(keyword(key), "(unset)")
        if value(key, said) != wanted.lower():
            yield Finding(what=f"{access.name}: sshd has {key} {said}, not {wanted} ({control})", subject=key)
        for matched in (text for name, text in sshd.matched if name == keyword(key) and value(key, text) != wanted.lower()):
            yield Finding(what=f"{access.name}: sshd has {key} {matched} below a Match, not {wanted} ({control})", subject=key)
    users = sshd.values.get("allowusers", "*").split()
    if any(set(user.partition("@")[0]) & set("*?!") for user in users):
        yield Finding(
            what=f"{access.name}: users of the host may log in whom nothing names ({' '.join(users)})", subject="AllowUsers"
        )
    for unseen in sshd.unseen:
        yield Finding(what=f"{access.name}: sshd includes {unseen}, which is not among its files", subject=unseen)


def _ssh_options(provider: Resource) -> list[str]:
    """The provider's ssh options: a provider's inputs are JSON in a text."""
    given = provider.text("sshOpts")
    try:
        return [str(option) for option in json.loads(given)] if given else []
    except ValueError:
        return [given]


HOST_KEY = ResourceRule(
    name="ssh-host-keys",
    asks="A remote command knows its host's key.",
    severity=Severity.CRITICAL,
    decides=("SSH-1",),
    why="without one the provider takes any key: who sits in between gets the command, its input and root",
    fix="state host_key, or use components.ssh.host_script.HostScript, whose ssh_config pins it",
    example='ConnectionArgs(host="...", host_key="ssh-ed25519 AAAA...")',
    types=(REMOTE_COMMAND, REMOTE_COPY),
    check=_host_key,
)
PINNED = ResourceRule(
    name="ssh-strict",
    asks="Whatever runs ssh checks the host's key.",
    severity=Severity.CRITICAL,
    decides=("SSH-2",),
    why="a host that nobody recognises is anybody",
    fix="use the generated ssh_config: -F .vpai/<stack>/ssh_config",
    example='docker.Provider("sese", host="ssh://sese", ssh_opts=["-F", ".vpai/prod/ssh_config"])',
    types=(LOCAL_COMMAND, DOCKER_PROVIDER),
    check=_pinned,
)
DAEMON = ResourceRule(
    name="ssh-daemon",
    asks="sshd lets in one user by key, and forwards nothing.",
    severity=Severity.HIGH,
    decides=tuple(SSHD),
    why="sshd is the one way into a host; each of these has let somebody in or along",
    fix="keep the controls of components/host/sshd.py",
    example="PasswordAuthentication no",
    types=(HOST_ACCESS,),
    check=_sshd,
)

RULES = (HOST_KEY, PINNED, DAEMON)
