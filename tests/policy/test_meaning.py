"""The same intent written in many ways is judged alike: a hundred generated spellings and more for each kind of rule."""

import base64
import json
import random
from collections.abc import Iterable, Mapping
from datetime import timedelta
from ipaddress import IPv4Network
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from policy.known import KNOWN
from policy.meaning.paths import canonical
from policy.program import (
    CLOUD_FIREWALL,
    CONTAINER,
    DOCKER_NETWORK,
    DOCKER_VOLUME,
    HOST_ACCESS,
    LOCAL_COMMAND,
    REMOTE_IMAGE,
    SERVICE,
    Program,
    Resource,
)
from policy.rule import ResourceRule
from policy.rules import RULES
from tests.policy.cases import CASES
from tests.policy.planted import TODAY, Planted

settings.register_profile("policy", max_examples=120, deadline=None, derandomize=True, database=None)
settings.load_profile("policy")

_BY_NAME = {rule.name: rule for rule in RULES}


def found(rule: str, *resources: Planted) -> list[str]:
    """What a rule finds in a program, in words."""
    program = Program(stack="prod", kind="production", today=TODAY)
    learned = [
        Resource(
            urn=resource.urn,
            type=resource.type,
            name=resource.name,
            inputs=resource.inputs,
            host=resource.host,
            protect=resource.protect,
            parent=next((other.urn for other in resources if other.name == resource.parent), ""),
        )
        for resource in resources
    ]
    for resource in learned:
        program.learn(resource)
    asked = _BY_NAME[rule]
    findings: Iterable[Any]
    if isinstance(asked, ResourceRule):
        findings = (finding for resource in learned for finding in asked.findings(resource, program))
    else:
        findings = asked.findings(program)  # type: ignore[attr-defined]
    return [finding.what for finding in findings]


def container(**inputs: Any) -> Planted:
    return CASES["containers-user"].obeys[0].with_inputs(**inputs)


def one(kind: str, **inputs: Any) -> Planted:
    return Planted(type=kind, name="one", inputs=inputs, host="sese")


# Paths


_OWN = ["/opt/javisi/data/redis", "/opt/javisi/config/caddy/0a1b", "/opt/x/data/qdrant/storage"]
_HOSTS = [
    "/",
    "/etc",
    "/root",
    "/var",
    "/home/deploy",
    "/proc/sys",
    "/usr/bin",
    "/lib",
    "/opt",
    "/opt/javisi",
    "/opt/javisi/data",
]
_SOCKET = ["/", "/run", "/var/run", "/run/docker.sock", "/var/run/docker.sock", "/proc/1/root/run", "/run/containerd"]


@st.composite
def spelled(draw: st.DrawFn, paths: list[str]) -> str:
    """A path with what the kernel ignores."""
    parts = draw(st.sampled_from(paths)).split("/")[1:]
    idle = st.sampled_from(["", ".", "x/..", "./.", "a/b/../.."])
    text = "".join("/" + "".join(f"{more}/" for more in draw(st.lists(idle, max_size=2))) + part for part in parts)
    return draw(st.sampled_from(["", "/", "/..", "/opt/.."])) + text + draw(st.sampled_from(["", "/", "/.", "//"]))


@st.composite
def shown(draw: st.DrawFn, path: str) -> Planted:
    """A host's path given to a container, in each way that the provider has."""
    options = {
        "type": draw(st.sampled_from(["none", "", "bind"])),
        "o": draw(st.sampled_from(["bind", "rbind,ro"])),
        "device": path,
    }
    return draw(
        st.sampled_from(
            [
                container(volumes=[{"hostPath": path, "containerPath": "/seen", "readOnly": True}]),
                container(mounts=[{"type": "bind", "source": path, "target": "/seen"}]),
                container(
                    mounts=[{"type": "volume", "source": "v", "target": "/seen", "volumeOptions": {"driverOptions": options}}]
                ),
            ]
        )
    )


@given(st.data())
def test_a_hosts_directory_is_found_however_it_is_written(data: st.DataObject) -> None:
    path = data.draw(spelled(_HOSTS))
    assert found("containers-host-directories", data.draw(shown(path)))
    volume = one(DOCKER_VOLUME, driver="local", driverOpts={"type": "none", "o": "bind", "device": path})
    assert found("containers-host-directories", volume)


@given(st.data())
def test_a_control_socket_is_found_however_it_is_written(data: st.DataObject) -> None:
    assert found("containers-docker-socket", data.draw(shown(data.draw(spelled(_SOCKET)))))


@given(st.data())
def test_a_services_own_directory_passes_however_it_is_written(data: st.DataObject) -> None:
    seen = data.draw(shown(data.draw(spelled(_OWN))))
    assert not found("containers-host-directories", seen)
    assert not found("containers-docker-socket", seen)


@given(
    st.dictionaries(
        st.sampled_from(["type", "o", "device", "lowerdir", "share"]),
        st.sampled_from(["nfs", "overlay", "lowerdir=/", ":/srv", "//h/s"]),
    ).filter(bool)
)
def test_a_volume_that_mounts_anything_else_is_found(options: Mapping[str, str]) -> None:
    assert found("containers-host-directories", one(DOCKER_VOLUME, driverOpts=options))


@given(spelled(_OWN), spelled(_OWN))
def test_two_spellings_of_one_directory_are_one_directory(one_path: str, other_path: str) -> None:
    def writes(name: str, path: str) -> Planted:
        return Planted(type=CONTAINER, name=name, host="sese", inputs={"volumes": [{"hostPath": path, "containerPath": "/d"}]})

    assert bool(found("containers-own-data", writes("a", one_path), writes("b", other_path))) == (
        canonical(one_path) == canonical(other_path)
    )


# Users, capabilities, options


_ZERO = st.builds(lambda sign, zeros: sign + "0" * zeros, st.sampled_from(["", "+", "-"]), st.integers(1, 12))
_GROUP = st.sampled_from(["", ":0", ":1000", ":root", ":x", ":"])


@given(st.one_of(_ZERO, st.just("root")), _GROUP)
def test_root_is_found_by_each_of_its_names(user: str, group: str) -> None:
    assert found("containers-user", container(user=user + group))
    assert found("hygiene-docker-commands", command(f"docker exec -u {user}{group} sese-redis sh"))


@given(st.integers(1, 2**31 - 1), st.integers(0, 5), _GROUP)
def test_another_user_is_not_root(uid: int, zeros: int, group: str) -> None:
    assert not found("containers-user", container(user=f"{'0' * zeros}{uid}{group}"))


_YES = st.sampled_from(
    ["no-new-privileges", *(f"no-new-privileges{s}{v}" for s in ":=" for v in ("true", "1", "t", "T", "TRUE"))]
)
_NO = st.sampled_from([f"no-new-privileges{s}{v}" for s in ":=" for v in ("false", "0", "f", "F", "FALSE", "False", "maybe")])


@given(st.lists(_YES, max_size=3), st.lists(_NO, min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_one_word_for_new_privileges_is_enough(yes: list[str], no: list[str], order: random.Random) -> None:
    options = [*yes, *no]
    order.shuffle(options)
    assert found("containers-no-new-privileges", container(securityOpts=options))


@given(st.lists(_YES, min_size=1, max_size=4))
def test_no_new_privileges_may_be_said_in_each_of_dockers_ways(options: list[str]) -> None:
    assert not found("containers-no-new-privileges", container(securityOpts=options))
    assert not found("containers-security-profiles", container(securityOpts=options))


_SAFE_CALLS = ["read", "write", "openat", "futex", "mmap", "execve", "ptrace"]
_CALLS_TO_THE_HOST = [
    "mount",
    "bpf",
    "setns",
    "unshare",
    "kexec_load",
    "open_by_handle_at",
    "init_module",
    "keyctl",
    "io_uring_setup",
]


def _profile(default: str, *rules: Mapping[str, Any], indent: int | None = None) -> str:
    return " " * (indent or 0) + json.dumps({"defaultAction": default, "syscalls": rules}, indent=indent)


@given(
    st.sampled_from(["=", ":"]),
    st.one_of(
        st.builds(_profile, st.sampled_from(["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE", "scmp_act_errno", ""])),
        st.builds(
            lambda calls, extra, action, how, indent: _profile(
                "SCMP_ACT_ERRNO",
                {"names": extra, "action": "SCMP_ACT_ALLOW"},
                *({**({"names": [call]} if how else {"name": call}), "action": action} for call in calls),
                indent=indent,
            ),
            st.lists(st.sampled_from(_CALLS_TO_THE_HOST), min_size=1),
            st.lists(st.sampled_from(_SAFE_CALLS)),
            st.sampled_from(["SCMP_ACT_ALLOW", "SCMP_ACT_LOG"]),
            st.booleans(),
            st.sampled_from([None, 1, 4]),
        ),
        st.sampled_from(["unconfined", "", "profile.json", "/etc/docker/seccomp.json", "{", "[]"]),
    ),
)
def test_a_seccomp_profile_that_loosens_is_found_by_its_content(separator: str, profile: str) -> None:
    assert found("containers-security-profiles", container(securityOpts=[f"seccomp{separator}{profile}"]))


@given(
    st.sampled_from(["ERRNO", "KILL", "KILL_PROCESS", "TRAP"]),
    st.lists(st.sampled_from(_SAFE_CALLS), min_size=1),
    st.sampled_from([None, 2]),
)
def test_a_seccomp_profile_that_confines_more_passes(default: str, calls: list[str], indent: int | None) -> None:
    safe = {"names": calls, "action": "SCMP_ACT_ALLOW"}
    with_capability = {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}}
    profile = _profile(f"SCMP_ACT_{default}", safe, with_capability, indent=indent)
    assert not found("containers-security-profiles", container(securityOpts=[f"seccomp={profile}"]))


@given(
    st.sampled_from(["apparmor", "label", "systempaths", "writable-cgroups", "credentialspec"]),
    st.sampled_from(["=", ":"]),
    st.text("abcdefghijklmnopqrstuvwxyz-_0123456789", min_size=1),
)
def test_any_other_security_option_is_found(key: str, separator: str, value: str) -> None:
    assert found("containers-security-profiles", container(securityOpts=[f"{key}{separator}{value}"]))


_FLAGS = st.lists(st.sampled_from(["rw", "nodev", "size=64m", "mode=1777", "defaults", "noatime"]), max_size=4)


@given(st.lists(st.sampled_from(["noexec", "nosuid"]), max_size=4), _FLAGS, st.sampled_from(["exec", "suid"]), _FLAGS)
def test_the_last_word_on_a_tmpfs_counts(before: list[str], more: list[str], last: str, after: list[str]) -> None:
    options = ",".join([*before, *more, last, *after])
    assert found("containers-tmpfs", container(tmpfs={"/tmp": options}))


@given(st.lists(st.sampled_from(["exec", "suid", "rw"]), max_size=3), st.permutations(["noexec", "nosuid", "rw"]), _FLAGS)
def test_what_is_taken_back_on_a_tmpfs_does_not_count(before: list[str], last: list[str], after: list[str]) -> None:
    assert not found("containers-tmpfs", container(tmpfs={"/tmp": ",".join([*before, *last, *after])}))


def _cased(text: str, order: random.Random) -> str:
    return "".join(order.choice((letter.lower(), letter.upper())) for letter in text)


@given(st.sampled_from(["SYS_ADMIN", "NET_ADMIN", "ALL", "BPF", "SYS_PTRACE"]), st.booleans(), st.randoms(use_true_random=False))
def test_a_capability_is_found_in_any_case(name: str, prefixed: bool, order: random.Random) -> None:
    word = _cased(("CAP_" if prefixed else "") + name, order)
    assert found("containers-capabilities", container(capabilities={"drops": ["ALL"], "adds": [word]}))
    assert found("hygiene-docker-commands", command(f"docker run --cap-add={word} redis"))


_MODES = st.sampled_from(["networkMode", "pidMode", "ipcMode", "usernsMode"])


@given(
    _MODES,
    st.one_of(
        st.just("host"), st.builds("{}:{}".format, st.sampled_from(["container", "service", "ns"]), st.text("ab/", min_size=1))
    ),
)
def test_a_namespace_of_somebody_else_is_found(key: str, mode: str) -> None:
    assert found("containers-own-namespaces", container(**{key: mode}))


_NOTHING = st.sampled_from([None, 0, -1, 0.0, -0.5])


@given(_NOTHING, _NOTHING.map(lambda value: None if value is None else str(value)), st.sampled_from(["", "0", "-1", "x", None]))
def test_a_limit_that_limits_nothing_is_none(memory: float | None, cpus: str | None, size: str | None) -> None:
    assert found("containers-memory-limit", container(memory=memory, memorySwap=memory))
    assert found("containers-cpu-limit", container(cpus=cpus, cpuShares=1024))
    assert found("containers-logging", container(logOpts={"max-size": size, "max-file": "3"}))


# Addresses


_EVERY = ["0.0.0.0", "::", "::0", "0:0:0:0:0:0:0:0", "0000::", "[::]", "::ffff:0.0.0.0", "0", "0.0", "*", "", " 0.0.0.0 "]


@given(st.sampled_from(_EVERY), st.integers(1, 65535), st.sampled_from(["tcp", "udp"]))
def test_a_port_on_every_address_is_found(address: str, port: int, protocol: str) -> None:
    published = {"internal": 80, "external": port, "protocol": protocol, "ip": address}
    assert found("containers-bound-ports", container(ports=[published]))


@st.composite
def parted(draw: st.DrawFn, whole: IPv4Network, most: int = 40) -> list[str]:
    """A range as several, in any order, some twice, with bits beyond the mask."""
    parts = [whole]
    for _ in range(draw(st.integers(0, most))):
        part = parts.pop(draw(st.integers(0, len(parts) - 1)))
        parts += part.subnets() if part.prefixlen < 24 else [part]
    texts = [f"{part.network_address + draw(st.integers(0, part.num_addresses - 1))}/{part.prefixlen}" for part in parts]
    return draw(st.permutations([*texts, *texts[:2]]))


@given(
    parted(IPv4Network("0.0.0.0/0")), st.integers(0, 4), st.sampled_from(["22", "804", "1-1024", "any", "22-22", ""]), st.data()
)
def test_ssh_for_everybody_is_found_however_everybody_is_written(
    parts: list[str], holes: int, port: str, data: st.DataObject
) -> None:
    rule = {"direction": "in", "protocol": "tcp", "port": port}
    left = parts[min(holes, len(parts) // 4) :]
    cut = data.draw(st.integers(0, len(left)))
    rules = [{**rule, "sourceIps": left[:cut]}, {**rule, "sourceIps": left[cut:]}]
    assert found("hetzner-ssh-closed", one(CLOUD_FIREWALL, rules=rules))


@given(st.lists(st.builds("{}/{}".format, st.ip_addresses(v=4), st.integers(24, 32)), max_size=20))
def test_an_operators_own_addresses_are_not_everybody(sources: list[str]) -> None:
    rule = {"direction": "in", "protocol": "tcp", "port": "22", "sourceIps": [*sources, "10.0.0.0/8", "2001:db8::/48"]}
    assert not found("hetzner-ssh-closed", one(CLOUD_FIREWALL, rules=[rule]))


@given(st.sampled_from(["100.64.0.0/10", "172.21.0.0/16", "172.20.1.0/24"]), st.integers(0, 8), st.data())
def test_a_range_within_another_is_found(taken: str, deeper: int, data: st.DataObject) -> None:
    network = IPv4Network(taken)
    inner = data.draw(st.integers(0, network.num_addresses - 1).map(lambda n: network.network_address + n))
    subnet = f"{inner}/{min(network.prefixlen + deeper, 32)}"
    networks = [
        Planted(type=DOCKER_NETWORK, name=name, host="sese", inputs={"ipamConfigs": [{"subnet": text, "gateway": "x"}]})
        for name, text in (("one", "172.20.1.0/24"), ("other", subnet))
    ]
    assert found("networks-disjoint", *networks)


# Firewall


_SOUND_ACCESS = CASES["firewall-forward-closed"].obeys[0]
_TABLES = str(_SOUND_ACCESS.inputs["files"]["/etc/vpai/forward.v4"]["content"])
_LONG = {
    "-s": "--source",
    "-d": "--destination",
    "-i": "--in-interface",
    "-o": "--out-interface",
    "-p": "--protocol",
    "-j": "--jump",
}


def access(forward: str = _TABLES, **inputs: Any) -> Planted:
    return _SOUND_ACCESS.with_inputs(files={"/etc/vpai/forward.v4": {"content": forward}}, **inputs)


@st.composite
def respelled(draw: st.DrawFn, tables: str) -> str:
    """The same tables: options in any order and length, ranges in parts, comments, other tables in between."""
    lines = []
    for line in tables.splitlines():
        if not line.startswith("-A"):
            lines.append(line)
            continue
        head, rest = line.split()[:2], line.split()[2:]
        pairs = draw(st.permutations([rest[place : place + 2] for place in range(0, len(rest), 2)]))
        if any(pair[0] == "-m" for pair in pairs):
            pairs = [rest[place : place + 2] for place in range(0, len(rest), 2)]
        words = [[draw(st.sampled_from([name, _LONG.get(name, name)])), value] for name, value in pairs]
        ranges = [pair for pair in words if pair[0] in ("-d", "--destination")]
        for text in draw(parted(IPv4Network(ranges[0][1]), 3)) if ranges else [""]:
            said = [word for name, value in words for word in (name, text if [name, value] in ranges else value)]
            note = draw(st.sampled_from([[], ["-m", "comment", "--comment", "'-j RETURN'"]]))
            lines.append(" ".join([*head, *note, *said]))
    return "\n".join(["*nat", ":DOCKER-USER - [0:0]", "-A DOCKER-USER -j RETURN", "COMMIT", *lines]) + "\n"


@given(respelled(_TABLES))
def test_the_same_chain_written_otherwise_passes(tables: str) -> None:
    assert not found("firewall-forward-closed", access(tables))
    assert not found("firewall-mesh-source", access(tables))
    assert not found("firewall-agrees", access(tables), *CASES["firewall-agrees"].obeys[1:])


_LETS_OUT = st.builds(
    lambda target, into, match, how: f"{how} DOCKER-USER {into} {match} {target}",
    st.sampled_from(["-j RETURN", "-j ACCEPT", "--jump RETURN", "-g RETURN", "-j ELSEWHERE"]),
    st.sampled_from(["", "-i br-+", "-i +", "! -i eth0", "--in-interface br-+", "-i docker0"]),
    st.sampled_from(
        [
            "",
            "-d 0.0.0.0/0",
            "-d 10.1.0.0/16",
            "-d 169.254.169.254",
            "-d 100.64.0.0/255.192.0.0",
            "-p tcp",
            "-p udp --dport 53",
            "-o eth0",
            "! -o br-+",
            "-m conntrack --ctstate NEW",
            "! -d 192.168.0.0/16",
            "-s 172.20.0.0/16 -p tcp --dport 443",
        ]
    ),
    st.sampled_from(["-A", "-I", "--append", "-I"]),
)


@given(_LETS_OUT, st.integers(0, 3), respelled(_TABLES))
def test_a_rule_that_lets_out_before_the_drops_is_found(rule: str, after: int, tables: str) -> None:
    begin, chain, rest = tables.partition("*filter\n:DOCKER-USER - [0:0]\n")
    harmless = [
        "-A DOCKER-USER -i br-+ -o br-+ -j RETURN",
        "-A DOCKER-USER -j LOG",
        "-A DOCKER-USER -m conntrack --ctstate ESTABLISHED -j RETURN",
    ]
    changed = begin + chain + "".join(f"{line}\n" for line in [*harmless[:after], rule]) + rest
    assert found("firewall-forward-closed", access(changed))


@given(_LETS_OUT.filter(lambda rule: "-I" not in rule), respelled(_TABLES))
def test_a_rule_after_everything_is_dropped_lets_nothing_out(rule: str, tables: str) -> None:
    ended = tables.replace("COMMIT\n*raw", "-A DOCKER-USER -j DROP\n" + rule + "\nCOMMIT\n*raw")
    assert not found("firewall-forward-closed", access(ended))


@given(
    st.sampled_from(
        [
            "allow 804/tcp",
            "allow from any to any port 804",
            "allow in on tailscale0",
            "allow in on eth0 to any port 804 proto tcp",
        ]
    )
    | st.builds("allow from {}/{} to any port 22".format, st.ip_addresses(v=4), st.integers(0, 32))
    | st.builds(
        "{} {}".format, st.sampled_from(["limit", "route allow", "insert 1 allow"]), st.sampled_from(["22/tcp", "OpenSSH", "80"])
    ),
    st.booleans(),
)
def test_an_opening_of_ufw_that_is_not_the_meshs_is_found(rule: str, first: bool) -> None:
    written = [f"{rule} comment 'SSH'"]
    assume(not (first and rule == "allow 804/tcp"))
    opened = access(rules=[], public_rules=written) if first else access(rules=written)
    assert found("firewall-host-openings", opened)


# Images, waivers, coverage


@given(
    st.sampled_from(["", "docker.io/", "registry:5000/", "ghcr.io/a/"]),
    st.sampled_from(["redis", "library/redis"]),
    st.sampled_from(["", ":8.0", ":latest", ":stable", "@sha256:abc", "@sha1:" + "a" * 40, ":sha256"]),
)
def test_an_image_without_a_whole_digest_is_found_wherever_it_is_named(host: str, name: str, tag: str) -> None:
    assert found("images-pinned", container(image=host + name + tag))
    assert found("images-pinned", one(REMOTE_IMAGE, name=host + name + tag))


@given(st.sampled_from(["", "docker.io/library/redis@", "r:5000/x:1@"]), st.text("0123456789abcdef", min_size=64, max_size=64))
def test_an_image_by_its_content_passes(name: str, digest: str) -> None:
    assert not found("images-pinned", container(image=f"{name}sha256:{digest}"))


@given(st.integers(-400, 4000))
def test_a_waiver_holds_within_a_year_and_covers_nothing_beyond(days: int) -> None:
    waiver = {"rule": "containers-user", "reason": "because", "until": str(TODAY + timedelta(days=days)), "subject": ""}
    service = Planted(type=SERVICE, name="sese-redis", inputs={"waivers": [waiver]})
    root = Planted(type=CONTAINER, name="sese-redis-container", parent="sese-redis", inputs={"user": "0"})
    holds = 0 <= days <= 366
    assert bool(found("hygiene-waivers", service)) != holds
    assert bool(found("containers-user", service, root)) != holds


@given(st.from_regex(r"[a-z-]{1,12}:[a-z/-]{1,12}:[A-Za-z]{1,12}", fullmatch=True))
def test_a_type_that_nobody_knows_is_found(kind: str) -> None:
    assume(kind not in KNOWN and not kind.startswith("vpai:index:"))
    assert found("coverage-types", one(kind))


@given(
    st.sampled_from(sorted(set(KNOWN) - {"pulumi:providers:pulumi-python"})),
    st.from_regex(r"[a-z][A-Za-z]{1,20}", fullmatch=True),
    st.sampled_from([True, "x", 1, ["x"], {"a": "b"}, False]),
)
def test_an_input_that_nobody_knows_is_found(kind: str, key: str, value: object) -> None:
    assume(key not in KNOWN[kind])
    assert found("coverage-inputs", one(kind, **{key: value}))


# Buckets


_NAME = "example-org-backups"
_SOUND_BUCKET = CASES["buckets-private"].obeys[0]
_POLICY: Mapping[str, Any] = json.loads(str(_SOUND_BUCKET.inputs["policy"]))
_RESOURCES = [f"arn:aws:s3:::{_NAME}", f"arn:aws:s3:::{_NAME}/*"]


def bucket(*statements: Mapping[str, Any], alone: bool = False) -> Planted:
    said: Any = statements[0] if alone and len(statements) == 1 else statements
    return _SOUND_BUCKET.with_inputs(policy=json.dumps({"Version": "2012-10-17", "Statement": said}))


_STRANGERS = st.sampled_from(
    [
        {"Principal": "*"},
        {"Principal": ["*"]},
        {"Principal": {"AWS": "*"}},
        {"Principal": {"AWS": ["arn:aws:iam:::user/p1:a", "*"]}},
        {"Principal": {"CanonicalUser": "*"}},
        {"Principal": {"AWS": "arn:aws:iam:::user/*"}},
        {"Principal": {"AWS": "arn:aws:iam:*"}},
        {"NotPrincipal": {"AWS": "arn:aws:iam:::user/p1:a"}},
        {"NotPrincipal": {"AWS": []}},
    ]
)


@given(
    _STRANGERS,
    st.sampled_from(
        [{"Action": "s3:GetObject"}, {"Action": ["s3:*"]}, {"Action": "*"}, {"NotAction": "s3:PutObject"}, {"Action": "s3:Get*"}]
    ),
    st.sampled_from([{"Resource": "*"}, {"Resource": _RESOURCES}, {"NotResource": "arn:aws:s3:::other"}]),
    st.sampled_from([{}, {"Condition": {"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}}}, {"Sid": "Looks harmless"}]),
    st.booleans(),
    st.integers(0, 3),
)
def test_a_policy_that_lets_strangers_in_is_found(
    who: Mapping[str, Any], what: Mapping[str, Any], where: Mapping[str, Any], more: Mapping[str, Any], alone: bool, place: int
) -> None:
    statement = {"Effect": "Allow", **who, **what, **where, **more}
    assert found("buckets-private", bucket(statement, alone=alone))
    others = list(_POLICY["Statement"])
    assert found("buckets-private", bucket(*others[:place], statement, *others[place:]))


@given(
    st.sampled_from(["{", "[]", '"*"', '{"Statement": [1]}', '{"Statement": [{"Effect": "allow", "Principal": "*"}]}'])
    | st.text(min_size=1).filter(lambda text: text.strip() not in ("{}", "null", "0", "false"))
)
def test_a_policy_that_cannot_be_read_is_found(text: str) -> None:
    assert found("buckets-private", _SOUND_BUCKET.with_inputs(policy=text))


_TLS = {
    "Effect": "Deny",
    "Principal": "*",
    "Action": "s3:*",
    "Resource": _RESOURCES,
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}


@given(
    st.sampled_from(
        [
            {"Condition": {"Bool": {"aws:SecureTransport": "true"}}},
            {"Condition": {"StringEquals": {"aws:SecureTransport": "false"}}},
            {"Condition": {"Bool": {"aws:SecureTransport": "false", "aws:ViaAWSService": "false"}}},
            {"Condition": {"Bool": {"aws:SecureTransport": "false"}, "IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}},
            {"Condition": {"Null": {"aws:SecureTransport": "false"}}},
            {"Effect": "Allow"},
            {"Principal": {"AWS": "arn:aws:iam:::user/p1:a"}},
            {"Action": "s3:GetObject"},
            {"Resource": _RESOURCES[0]},
            {"Resource": _RESOURCES[1]},
            {"Resource": [resource + "x" for resource in _RESOURCES]},
            {"Resource": f"arn:aws:s3:::{_NAME}/*"},
        ]
    ),
    st.permutations(["Effect", "Principal", "Action", "Resource", "Condition"]),
    st.booleans(),
)
def test_a_refusal_of_plain_http_that_refuses_less_is_found(change: Mapping[str, Any], order: list[str], alone: bool) -> None:
    changed = {**_TLS, **change}
    assert found("buckets-encrypted-transport", bucket({key: changed[key] for key in order}, alone=alone))


@given(
    st.sampled_from(["*", {"AWS": "*"}, {"AWS": ["*"]}]),
    st.sampled_from(["s3:*", "*", "S3:*", ["s3:*"]]),
    st.sampled_from(["*", _RESOURCES, list(reversed(_RESOURCES)), f"arn:aws:s3:::{_NAME}*"]),
    st.sampled_from(["Bool", "BoolIfExists", "bool"]),
    st.sampled_from(["false", False, ["false"], "False"]),
    st.sampled_from(["aws:SecureTransport", "AWS:securetransport"]),
)
def test_a_refusal_of_plain_http_may_be_written_in_many_ways(
    who: object, what: object, where: object, operator: str, value: object, key: str
) -> None:
    said = {"Effect": "Deny", "Principal": who, "Action": what, "Resource": where, "Condition": {operator: {key: value}}}
    assert not found("buckets-encrypted-transport", bucket(said))


_ADMIN = "arn:aws:iam:::user/p1:KEEPER"
_VERSIONS = {
    "Effect": "Deny",
    "NotPrincipal": {"AWS": [_ADMIN]},
    "Action": ["s3:DeleteObjectVersion", "s3:PutLifecycleConfiguration", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"],
    "Resource": _RESOURCES,
}


@given(
    st.sampled_from(
        [
            {"Effect": "Allow"},
            {"NotPrincipal": {"AWS": [_ADMIN, "arn:aws:iam:::user/p1:OTHER"]}},
            {"NotPrincipal": {"AWS": "arn:aws:iam:::user/*"}},
            {"NotPrincipal": "*"},
            {"Action": ["s3:DeleteObject", "s3:PutBucketPolicy"]},
            {"Action": "s3:DeleteObjectVersionTagging"},
            {"Action": "s3:DeleteObjectVersion"},
            {"Resource": _RESOURCES[0]},
            {"Resource": f"arn:aws:s3:::{_NAME}/logs/*"},
            {"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}},
        ]
    ),
    st.permutations(sorted(_VERSIONS)),
    st.booleans(),
)
def test_versions_that_more_than_one_key_may_delete_are_found(change: Mapping[str, Any], order: list[str], alone: bool) -> None:
    changed = {**{key: _VERSIONS[key] for key in order}, **change}
    assert found("buckets-versions-stay", bucket(changed, alone=alone))


@given(st.sampled_from(["s3:*", "*", _VERSIONS["Action"], ["s3:Delete*", "s3:Put*"]]), st.sampled_from(["*", _RESOURCES]))
def test_versions_that_one_key_alone_deletes_pass(what: object, where: object) -> None:
    assert not found("buckets-versions-stay", bucket({**_VERSIONS, "Action": what, "Resource": where}))


@given(
    st.lists(
        st.sampled_from(
            [
                {"id": "noncurrent", "prefix": "", "abort_days": 7},
                {"id": "a", "prefix": "x/", "noncurrent_days": 3},
                {"id": "b", "prefix": "", "noncurrent_days": 0},
            ]
        )
    )
)
def test_a_lifecycle_that_forgets_no_version_is_found(rules: list[Mapping[str, object]]) -> None:
    assert found("buckets-expiry", _SOUND_BUCKET.with_inputs(lifecycle=rules))


# Commands


def command(text: str, key: str = "create", **inputs: Any) -> Planted:
    return one(LOCAL_COMMAND, **{"delete": ": it only looks", key: text, **inputs})


_LOOSE = st.sampled_from(
    [
        *("--privileged", "--privileged=true", "--privileged=1", "--privileged=T"),
        *(
            "--pid=host",
            "--pid host",
            "--net=host",
            "--network host",
            "--ipc=host",
            "--userns=host",
            "--uts=host",
            "--cgroupns host",
        ),
        *("--cap-add=ALL", "--cap-add SYS_ADMIN", "--security-opt seccomp=unconfined", "--security-opt=apparmor:unconfined"),
        *(
            "--security-opt no-new-privileges=false",
            "-v /:/host",
            "-v/etc:/x:ro",
            "--volume=//etc:/x",
            "--volume /run/docker.sock:/s",
        ),
        *(
            "--mount type=bind,source=/,target=/x",
            "--mount=type=bind,src=/opt/../etc,dst=/x",
            "--device /dev/sda",
            "--device=/dev/kmsg",
        ),
        *("-u root", "-u0", "--user=0:0", "-itu 00", "--gpus all", "--network container:sese-redis"),
    ]
)
_CLIENT = st.sampled_from(
    [
        "docker",
        "/usr/bin/docker",
        "sudo docker",
        "sudo -n /usr/bin/docker",
        "podman",
        "docker --context x",
        "docker -H unix:///run/docker.sock",
    ]
)
_VERB = st.sampled_from(["run", "create", "container run", "container create"])
_MORE = st.lists(
    st.sampled_from(["--rm", "-it", "--name x", "-e A=b", "--network=none", "$OPTIONS", "--memory 64m", "-d"]), max_size=3
)
_QUOTING = st.sampled_from(
    ["{}", "sh -c '{}'", 'ssh host -- "{}"', "true && {}", "x=$({})", "if true; then\n\t{}\nfi", "set -e\n{} | cat"]
)


@st.composite
def quoted(draw: st.DrawFn, words: str) -> str:
    """The same words to a shell."""
    ways = ["{}", '"{}"', "'{}'", "{}"]
    return draw(st.sampled_from([" ", "  ", " \\\n\t"])).join(draw(st.sampled_from(ways)).format(word) for word in words.split())


@given(_CLIENT, _VERB, _MORE, _LOOSE, _MORE, _QUOTING, st.sampled_from(["create", "update", "delete", "stdin"]), st.data())
def test_a_container_that_a_command_loosens_is_found(
    client: str, verb: str, before: list[str], loose: str, after: list[str], around: str, key: str, data: st.DataObject
) -> None:
    call = data.draw(quoted(" ".join([client, verb, *before, loose, *after, "redis:8", "true"])))
    assert found("hygiene-docker-commands", command(around.format(call), key)), call


@given(_CLIENT, _LOOSE.filter(lambda loose: loose.startswith(("--priv", "-u", "--user", "-itu"))), _QUOTING, st.data())
def test_a_container_that_is_entered_as_root_is_found(client: str, loose: str, around: str, data: st.DataObject) -> None:
    call = data.draw(quoted(f"{client} exec -i {loose} sese-redis sh"))
    assert found("hygiene-docker-commands", command(around.format(call)))


@given(_LOOSE, st.data())
def test_a_file_on_a_host_that_loosens_a_container_is_found(loose: str, data: st.DataObject) -> None:
    unit = f"[Service]\nExecStart=/usr/bin/docker run {data.draw(quoted(loose))} redis\n"
    assert found("hygiene-docker-commands", one(HOST_ACCESS, files={"/etc/systemd/system/x.service": {"content": unit}}))
    written = f"script\nfile 0644 /etc/systemd/system/x.service {base64.b64encode(unit.encode()).decode()}\n"
    assert found("hygiene-docker-commands", command(written, "stdin"))


@given(_CLIENT, _VERB, _MORE, _LOOSE, _QUOTING)
def test_what_the_program_in_a_container_is_told_is_its_own(
    client: str, verb: str, before: list[str], loose: str, around: str
) -> None:
    assert not found("hygiene-docker-commands", command(around.format(f"{client} {verb} {' '.join(before)} redis:8 {loose}")))
    assert not found("hygiene-docker-commands", command(f"docker exec -i sese-redis mysql {loose}; ./docker-{verb} {loose}"))


@given(
    st.sampled_from(
        ["swarm init", "swarm join --token x", "service create redis", "stack deploy -c f x", "plugin install vieux/sshfs"]
    ),
    _CLIENT,
    _QUOTING,
)
def test_a_swarm_and_a_plugin_are_found(verb: str, client: str, around: str) -> None:
    assert found("hygiene-docker-commands", command(around.format(f"{client} {verb}")))


_CREDENTIALS = st.sampled_from(
    ["PGPASSWORD", "MYSQL_PWD", "API_KEY", "GITHUB_TOKEN", "secret", "SSHPASS", "AWS_SECRET_ACCESS_KEY", "REDISCLI_AUTH"]
)
_VALUES = st.text("abcdefghijklmnopqrstuvwxyzABC0123456789!%/+-", min_size=3, max_size=30).filter(
    lambda text: text[0] not in "-/+"
)


@given(_CREDENTIALS, _VALUES, st.sampled_from(["create", "update", "triggers"]))
def test_a_credential_that_a_command_shows_is_found(name: str, value: str, key: str) -> None:
    assert found("secrets-command-line", command("true", environment={name: value}))
    text = f"{name}='{value}' psql -U postgres"
    shown = one(LOCAL_COMMAND, delete="true", **{key: [text] if key == "triggers" else text})
    assert found("secrets-command-line", shown)
    assert found("secrets-environment", container(envs=[f"{name}={value}"]))
    assert found("secrets-environment", container(command=["sh", "-c", f"export {name}={value}; run"]))


@given(
    st.sampled_from(["--password", "-password", "--requirepass", "--db-password", "--api-key", "--token", "--client-secret"]),
    st.sampled_from(["=", " "]),
    _VALUES,
    st.sampled_from(["command", "entrypoints"]),
)
def test_a_credential_on_a_command_line_is_found(flag: str, separator: str, value: str, key: str) -> None:
    assert found("secrets-command-line", command(f"tool {flag}{separator}{value} go"))
    assert found("secrets-environment", container(**{key: ["tool", *f"{flag}{separator}{value}".split(" ")]}))
    assert found("secrets-environment", container(healthcheck={"tests": ["CMD-SHELL", f"tool {flag}{separator}{value}"]}))


@given(_CREDENTIALS, st.sampled_from(["$X", '"$X"', "${X}", "$(cat /run/x)", '"$(cat f)"', "`cat f`", ""]))
def test_a_credential_that_is_read_elsewhere_passes(name: str, value: str) -> None:
    text = f"{name}={value} psql; tool --password-file=/run/secrets/x --token $X --password-file /x"
    assert not found("secrets-command-line", command(text))
    assert not found("secrets-environment", container(command=["sh", "-c", text], envs=[f"{name}_FILE=/run/secrets/x"]))


@given(
    st.sampled_from(["StrictHostKeyChecking", "stricthostkeychecking", "STRICTHOSTKEYCHECKING"]),
    st.sampled_from(["=", " ", " = ", "=\t"]),
    st.sampled_from(["no", "off", "false", "accept-new", "No", "OFF"]),
    st.sampled_from(["-o {}", '-o "{}"', "-o'{}'", "-o{}"]),
)
def test_ssh_that_takes_any_key_is_found(option: str, separator: str, value: str, how: str) -> None:
    assert found("ssh-strict", command(f"ssh {how.format(option + separator + value)} root@203.0.113.10 true"))


@given(
    st.sampled_from(["UserKnownHostsFile", "userknownhostsfile", "GlobalKnownHostsFile"]),
    st.sampled_from(["/dev/null", "//dev/null", "none", "/dev/zero"]),
    st.sampled_from(["=", " "]),
)
def test_ssh_that_remembers_no_key_is_found(option: str, file: str, separator: str) -> None:
    assert found("ssh-strict", command(f"scp -o '{option}{separator}{file}' a root@203.0.113.10:"))


# Docker's daemon


def _baseline(*files: tuple[str, Mapping[str, Any]]) -> tuple[Planted, ...]:
    host, command = CASES["daemon-settings"].obeys
    lines = [f"file 0644 {path} {base64.b64encode(json.dumps(said).encode()).decode()}" for path, said in files]
    return host, command.with_inputs(stdin="\n".join(["script", *lines]) + "\n")


_SOUND_DAEMON = json.loads(base64.b64decode(str(CASES["daemon-settings"].obeys[1].inputs["stdin"]).rpartition("daemon.json ")[2]))


@given(
    spelled(["/etc/docker/daemon.json"]).filter(lambda path: not path.endswith(("/", "."))),
    st.sampled_from(
        [
            {"icc": True},
            {"hosts": ["tcp://0.0.0.0:2375"]},
            {"hosts": ["0.0.0.0:2375"]},
            {"hosts": ["unix:///run/d", ":2375"]},
            {"seccomp-profile": "/etc/open.json"},
            {"default-runtime": "x"},
            {"runtimes": {}},
            {"api-cors-header": "*"},
            {"exec-opts": ["x"]},
        ]
    ),
)
def test_the_daemon_json_that_is_written_last_counts(path: str, change: Mapping[str, Any]) -> None:
    assert found("daemon-settings", *_baseline(("/etc/docker/daemon.json", _SOUND_DAEMON), (path, {**_SOUND_DAEMON, **change})))
    assert not found(
        "daemon-settings", *_baseline((path, {**_SOUND_DAEMON, **change}), ("/etc/docker/daemon.json", _SOUND_DAEMON))
    )
