"""The published controls that the pack answers for, and how: by rules, by construction, or by a waiver.

Ids: CIS = CIS Docker as in docker-bench-security (ff26d67, 2024-10); KICS = the queries for Compose of Checkmarx/kics; CL =
compose-lint 0.36.2; sshd = dev-sec ssh-baseline (2024-08); the rest are ours, for what no scanner checks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from policy.rule import Rule
from policy.rules import RULES


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A published list of controls: id -> what the control requires."""

    title: str
    source: str
    controls: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Inherent:
    """A control that is met because the provider offers no way to break it."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Waived:
    """A control that no rule can decide; `instead` is the rule that reduces the risk."""

    reason: str
    until: date
    instead: str


CIS_CONTAINERS = Benchmark(
    title="CIS Docker, section 5: containers",
    source="docker-bench-security ff26d67, 2024-10",
    controls={
        "CIS-5.1": "no Swarm unless needed",
        "CIS-5.2": "AppArmor profile on",
        "CIS-5.3": "SELinux options on",
        "CIS-5.4": "capabilities restricted",
        "CIS-5.5": "not privileged",
        "CIS-5.6": "no sensitive host directories",
        "CIS-5.7": "no sshd",
        "CIS-5.8": "no host port below 1024",
        "CIS-5.9": "only needed ports open",
        "CIS-5.10": "no host network",
        "CIS-5.11": "memory limited",
        "CIS-5.12": "CPU limited",
        "CIS-5.13": "root file system read-only",
        "CIS-5.14": "published ports bound to an interface",
        "CIS-5.15": "restarts on failure, at most five times",
        "CIS-5.16": "no host process namespace",
        "CIS-5.17": "no host IPC namespace",
        "CIS-5.18": "no host devices",
        "CIS-5.19": "ulimits overridden only where needed",
        "CIS-5.20": "no shared mount propagation",
        "CIS-5.21": "no host UTS namespace",
        "CIS-5.22": "seccomp on",
        "CIS-5.23": "no `docker exec --privileged`",
        "CIS-5.24": "no `docker exec` as root",
        "CIS-5.25": "control group where Docker puts it",
        "CIS-5.26": "no new privileges",
        "CIS-5.27": "healthcheck",
        "CIS-5.28": "the image's wanted version",
        "CIS-5.29": "processes limited",
        "CIS-5.30": "not on docker0",
        "CIS-5.31": "no host user namespace",
        "CIS-5.32": "no Docker socket",
    },
)
CIS_DAEMON = Benchmark(
    title="CIS Docker, section 2: daemon.json",
    source="docker-bench-security ff26d67, 2024-10; 2.1 (rootless) shows in no file, docs/reference/hardening.md waives it",
    controls={
        "CIS-2.1": "rootless daemon",
        "CIS-2.2": "no traffic between containers of the default bridge",
        "CIS-2.3": "log level",
        "CIS-2.4": "Docker writes iptables rules",
        "CIS-2.5": "no insecure registries",
        "CIS-2.6": "no aufs",
        "CIS-2.7": "TLS on a TCP socket",
        "CIS-2.8": "default ulimits",
        "CIS-2.9": "user namespaces",
        "CIS-2.10": "default control group",
        "CIS-2.11": "base device size untouched",
        "CIS-2.12": "authorization plugin",
        "CIS-2.13": "remote logging",
        "CIS-2.14": "no new privileges",
        "CIS-2.15": "live restore",
        "CIS-2.16": "no userland proxy",
        "CIS-2.17": "seccomp profile",
        "CIS-2.18": "nothing experimental",
    },
)
KICS = Benchmark(
    title="KICS, queries for Docker Compose",
    source="Checkmarx/kics, assets/queries/dockerCompose",
    controls={
        f"KICS-{query}": query.replace("_", " ")
        for query in (
            "cgroup_not_default",
            "check_cap_add_cap_drop",
            "container_capabilities_unrestricted",
            "container_traffic_not_bound_to_host_interface",
            "cpus_not_limited",
            "default_seccomp_profile_disabled",
            "docker_socket_mounted_in_container",
            "healthcheck_not_set",
            "host_namespace_is_shared",
            "ipc_set_to_host",
            "memory_not_limited",
            "network_mode_host_exists",
            "networks_not_set",
            "no_new_privileges_not_set",
            "pids_limit_not_set",
            "privileged_containers_enabled",
            "privileged_ports_mapped_in_container",
            "restart_policy_on_failure_not_set_to_5",
            "seccomp_disabled",
            "security_opt_not_set",
            "shared_host_ipc_namespace",
            "shared_host_network_namespace",
            "shared_host_user_namespace",
            "shared_volumes_between_containers",
            "userns_set_to_host",
            "volume_has_sensitive_host_directory",
            "volume_mounted_in_multiple_containers",
        )
    },
)
COMPOSE_LINT = Benchmark(
    title="compose-lint",
    source="PyPI, 0.36.2; tests/policy/test_compose_lint.py holds that its list is this one, and compares verdicts",
    controls={
        "CL-0001": "Host control socket exposed",
        "CL-0002": "Privileged mode enabled",
        "CL-0003": "Privilege escalation not blocked",
        "CL-0004": "Image not pinned to version",
        "CL-0005": "Ports bound to all interfaces",
        "CL-0006": "No capability restrictions",
        "CL-0007": "Filesystem not read-only",
        "CL-0008": "Host network mode",
        "CL-0009": "Security profile disabled",
        "CL-0010": "Host namespace sharing",
        "CL-0011": "Strong host-adjacent capability added",
        "CL-0013": "Sensitive host path exposed",
        "CL-0014": "Logging driver disabled",
        "CL-0016": "Dangerous host device exposed",
        "CL-0017": "Shared mount propagation",
        "CL-0018": "Explicit root user",
        "CL-0019": "Image tag without digest",
        "CL-0020": "Credential-shaped env key with literal value",
        "CL-0021": "Credential embedded in connection-string env value",
        "CL-0022": "tmpfs mount re-enables exec/suid",
        "CL-0024": "Host-code-execution capability added",
        "CL-0025": "Root-equivalent host path mounted writable",
        "CL-0026": "No resource limits",
        "CL-0027": "Bounded-grant capability added",
        "CL-0028": "Host-reaching capability added",
        "CL-0029": "Host-availability capability added",
        "CL-0030": "Host-disclosure capability added",
    },
)
SSHD = Benchmark(
    title="dev-sec ssh-baseline: what a preview can decide",
    source="2024-08; the 29 others are in docs/reference/hardening.md, tested on running hosts",
    controls={
        "sshd-06": "no login as root",
        "sshd-11": "StrictModes",
        "sshd-13": "log level",
        "sshd-17": "no user environment",
        "sshd-18": "login grace time",
        "sshd-19": "authentication tries",
        "sshd-22": "public keys",
        "sshd-23": "no rhosts",
        "sshd-24": "no known_hosts of users",
        "sshd-25": "no host-based login",
        "sshd-27": "no passwords",
        "sshd-28": "no empty passwords",
        "sshd-29": "no challenge-response",
        "sshd-30": "no Kerberos",
        "sshd-33": "no GSSAPI",
        "sshd-38": "no tunnels",
        "sshd-39": "no TCP forwarding",
        "sshd-40": "no agent forwarding",
        "sshd-41": "no gateway ports",
        "sshd-42": "no X11",
    },
)
HETZNER = Benchmark(
    title="Hetzner Cloud (ours: no scanner has any)",
    source="hcloud resources of the provider",
    controls={
        "H1": "a firewall on every server",
        "H2": "no SSH for everybody in prod",
        "H3": "protected by Pulumi and by Hetzner in prod",
        "H4": "backups in prod",
        "H5": "an SSH key, else root's password is mailed",
        "H6": "image by name",
        "H7": "labels valid: env, owner, ttl",
        "H8": "thrown away means small",
        "H9": "ranges disjoint from Docker and the mesh",
        "H10": "no secret in user data",
        "H11": "shut down before deletion",
        "H12": "location named",
        "H13": "keys, image and user data do not replace a server",
    },
)
OURS = Benchmark(
    title="Ours: firewalls, buckets, secrets, SSH, Pulumi, cost",
    source="what no published list decides on a Pulumi program",
    controls={
        "FW-1": "what Docker publishes is what DOCKER-USER lets in",
        "FW-2": "containers do not reach mesh, LAN or metadata",
        "FW-3": "mesh addresses are believed out of the tunnel alone",
        "FW-4": "nothing of the host is public without a reason",
        "FW-5": "no site is public without a reason",
        "FW-6": "a cloud's firewall opens nothing more",
        "FW-7": "a member of the mesh opens nothing",
        "S3-1": "no public bucket",
        "S3-2": "no plain HTTP",
        "S3-3": "versions kept",
        "S3-4": "old versions expire",
        "S3-5": "protected in prod",
        "S3-6": "versions locked, or deleted by one key alone",
        "SEC-1": "no secret on a command line",
        "SEC-2": "no secret in docker inspect",
        "SEC-3": "no secret in a plain input",
        "SSH-1": "host keys pinned in remote commands",
        "SSH-2": "ssh is never told to trust anybody",
        "PUL-1": "every command says what its deletion does",
        "PUL-2": "data is protected in prod",
        "PUL-3": "memory limits fit their host",
        "COST-1": "a limit of cost",
        "COV-1": "types that are known",
        "COV-2": "inputs that are judged, or harmless for a reason",
    },
)

BENCHMARKS = (CIS_CONTAINERS, CIS_DAEMON, KICS, COMPOSE_LINT, SSHD, HETZNER, OURS)

_NO_PIDS_LIMIT = Waived(
    reason="the docker provider has no pids_limit: a limit of processes for the container's user instead",
    until=date(2027, 10, 25),
    instead="containers-process-limit",
)
WITHOUT_RULE: Mapping[str, Inherent | Waived] = {
    "CIS-5.21": Inherent(reason="the docker provider has no argument for it"),
    "CIS-5.29": _NO_PIDS_LIMIT,
    "KICS-pids_limit_not_set": _NO_PIDS_LIMIT,
}


def deciding(control: str) -> tuple[Rule, ...]:
    """The rules that decide a control."""
    return tuple(rule for rule in RULES if control in rule.decides)
