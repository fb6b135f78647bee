"""Facts of real hosts, parsed and compared.

`facts/sese.txt` is what facts.sh printed on a host in order (Debian 13 in a container, UFW, Docker 26.1, tailscale 1.94);
`facts/fresh.txt` on a machine as it is handed over.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.host import sshd
from components.host.baseline import baseline
from components.host.facts import Facts, FoundFile, FoundUnit, parse
from components.host.host_drift import DesiredHost, DesiredMesh, Difference, differences, not_shown

FACTS = Path(__file__).parents[1] / "facts"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILg7F3+j46hq0MgNVhuGW63tdNpgZLqVh5LC/2SOhv6P someone@laptop"

DESIRED = DesiredHost(
    baseline=baseline(user="deploy", authorized_keys=[KEY], timezone="Europe/Paris", docker=True, dns=["198.18.0.2"]),
    access_files=(sshd.drop_in([804], "deploy"), sshd.socket_drop_in([804])),
    access_units=(),
    ufw_rules=(
        "allow in on tailscale0 to any port 804 proto tcp comment 'SSH over the mesh'",
        "allow 80/tcp comment 'anyone: sites'",
        "allow 41641/udp comment 'WireGuard'",
    ),
    forward_rules_v4=(
        "-A DOCKER-USER -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN",
        "-A DOCKER-USER -i br-+ -o br-+ -j RETURN",
        "-A DOCKER-USER -d 100.64.0.0/10 -i br-+ -j DROP",
        "-A DOCKER-USER -j RETURN",
        "-A VPAI-MESH -i tailscale0 -j RETURN",
        "-A VPAI-MESH -i lo -j RETURN",
        "-A VPAI-MESH -s 100.64.0.0/10 -j DROP",
    ),
    forward_rules_v6=(
        "-A VPAI-MESH -i tailscale0 -j RETURN",
        "-A VPAI-MESH -i lo -j RETURN",
        "-A VPAI-MESH -s fd7a:115c:a1e0::/48 -j DROP",
    ),
    sshd=sshd.effective([804], "deploy"),
    mesh=DesiredMesh(name="sese.na.vpai.test", login_server="http://127.0.0.1:8080", tags=("tag:sese",)),
)


def printed() -> str:
    """The fixture, with today's content of our own files."""
    text = (FACTS / "sese.txt").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("sha256\t")]
    lines += [f"sha256\t{file.sha256}  {file.path}" for file in (*DESIRED.baseline.files, *DESIRED.access_files)]
    return "\n".join(lines) + "\n"


def found(**changes: Any) -> tuple[Difference, ...]:
    return differences(DESIRED, replace(parse(printed()), **changes))


def test_a_host_in_order_differs_in_nothing() -> None:
    assert found() == ()


def test_facts_of_a_host_in_order() -> None:
    facts = parse(printed())
    assert (facts.release, facts.container, facts.timezone) == ("debian-13", "docker", "Europe/Paris")
    assert facts.files["/etc/sudoers.d/deploy"] == FoundFile(facts.files["/etc/sudoers.d/deploy"].sha256, 0o440, "root:root")
    assert facts.units["fail2ban.service"] == FoundUnit("active", "enabled")
    assert facts.units["apt-daily.timer"] == FoundUnit("inactive", "masked")
    assert facts.sshd_ports == (804,)
    assert facts.sshd["hostkey"] == "/etc/ssh/ssh_host_ed25519_key"
    assert facts.firewall is not None
    assert (facts.firewall.incoming, facts.firewall.outgoing, facts.firewall.stored) == ("deny", "allow", (3, 3))
    assert facts.docker is not None
    assert facts.docker.pools == (("172.21.0.0/16", 24),)
    assert facts.mesh is not None
    assert (facts.mesh.state, facts.mesh.name, facts.mesh.netfilter_mode) == ("Running", "sese.na.vpai.test", 0)


def test_facts_of_a_fresh_host() -> None:
    facts = parse((FACTS / "fresh.txt").read_text())
    assert facts.sshd_ports == (22,)
    assert facts.firewall is not None
    assert not facts.firewall.active
    assert facts.docker is None
    assert facts.mesh is None
    assert facts.authorized_keys == ()
    assert facts.units["no-such.service"] == FoundUnit("inactive", "")
    assert "/etc/docker/daemon.json" not in facts.files


def test_a_fresh_host_differs_everywhere_and_nothing_breaks() -> None:
    subjects = {difference.subject for difference in differences(DESIRED, parse((FACTS / "fresh.txt").read_text()))}
    assert {"sshd listens on", "authorized key", "UFW", "IPv4 VPAI-MESH", "mesh", "dockerd", "time zone"} <= subjects
    assert "/etc/docker/daemon.json" in subjects


def test_text_that_says_nothing_of_a_host_is_refused() -> None:
    with pytest.raises(ValueError, match="sudo: a password is required"):
        parse("sudo: a password is required\n")


def edited(old: str, new: str) -> Facts:
    text = printed()
    assert old in text
    return parse(text.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "subject", "shown"),
    [
        ("ufw\tStatus: active", "ufw\tStatus: inactive", "UFW", "inactive"),
        ("deny (incoming)", "allow (incoming)", "UFW default for incoming", "allow"),
        ("ufw-setting\tenabled yes", "ufw-setting\tenabled no", "UFW at boot", "disabled"),
        ("ufw-setting\tipv6 yes", "ufw-setting\tipv6 no", "UFW for IPv6", "off"),
        ("ufw-stored-loaded-v4\t3 3", "ufw-stored-loaded-v4\t3 2", "UFW rules in force, of those stored", "2, 3"),
        ("ufw-rule\tallow 80/tcp", "ufw-rule\tallow 81/tcp", "UFW rule", "missing"),
        ("rule-v4\t-A FORWARD -j DOCKER-USER\n", "", "IPv4 DOCKER-USER", "nothing leads into it"),
        ("rule-v6\t-A VPAI-MESH -i lo -j RETURN\n", "", "IPv6 VPAI-MESH", "missing"),
        ("rule-v4\t-A INPUT", "rule-v4\t-A INPUT -p tcp -j ACCEPT\nrule-v4\t-A INPUT", "IPv4 rule before UFW", ""),
        ("sshd\tpasswordauthentication no", "sshd\tpasswordauthentication yes", "sshd passwordauthentication", "yes"),
        ("sshd-port\t804", "sshd-port\t22\nsshd-port\t804", "sshd listens on", "22, 804"),
        (
            "sysctl\tnet.ipv4.conf.all.rp_filter = 2",
            "sysctl\tnet.ipv4.conf.all.rp_filter = 0",
            "net.ipv4.conf.all.rp_filter",
            "0",
        ),
        ("mode\t440 root:root", "mode\t666 root:root", "/etc/sudoers.d/deploy", "666 root:root"),
        ("key\tssh-ed25519", "key\tssh-ed25519 AAAAnother stranger\nkey\tssh-ed25519", "authorized key", ""),
        ('"live_restore": true', '"live_restore": false', "dockerd live-restore", "False"),
        ('"state":"Running"', '"state":"NeedsLogin"', "mesh state", "NeedsLogin"),
        ('"tags":["tag:sese"]', '"tags":[]', "mesh tags", "none"),
        ('"netfilter_mode":0', '"netfilter_mode":2', "tailscale's own firewall rules", "on"),
        ("host\ttimezone Europe/Paris", "host\ttimezone UTC", "time zone", "UTC"),
        ("docker-started-written\t1", "docker-started-written\t0", "dockerd started after its file was written", "False"),
    ],
)
def test_each_hand_made_drift_is_named(old: str, new: str, subject: str, shown: str) -> None:
    named = differences(DESIRED, edited(old, new))
    assert subject in {difference.subject for difference in named}
    assert any(shown in difference.found for difference in named if difference.subject == subject)


def test_a_stopped_unit_is_named() -> None:
    [difference] = found(units={**parse(printed()).units, "fail2ban.service": FoundUnit("failed", "enabled")})
    assert (difference.subject, difference.found) == ("fail2ban.service", "failed, enabled")


def test_a_missing_and_an_altered_file_are_named() -> None:
    files = dict(parse(printed()).files)
    del files[sshd.DROP_IN]
    files["/etc/docker/daemon.json"] = replace(files["/etc/docker/daemon.json"], sha256="0" * 64)
    assert [(difference.subject, difference.found) for difference in found(files=files)] == [
        (sshd.DROP_IN, "missing"),
        ("/etc/docker/daemon.json", "sha256 000000000000"),
    ]


def test_rules_in_another_order_are_named() -> None:
    rules = list(parse(printed()).rules_v4)
    first = rules.index(DESIRED.forward_rules_v4[1])
    rules[first], rules[first + 1] = rules[first + 1], rules[first]
    [difference] = found(rules_v4=tuple(rules))
    assert difference.subject == "IPv4 DOCKER-USER, rule 2"


def test_a_configuration_that_sshd_refuses_is_told_in_its_words() -> None:
    [difference] = found(sshd={}, sshd_error="05-x.conf line 1: Bad configuration option: foo\n05-x.conf: terminating")
    assert difference.found == "05-x.conf: terminating"


def test_the_sockets_file_counts_where_a_socket_listens() -> None:
    socket = {**parse(printed()).units, "ssh.socket": FoundUnit("active", "enabled")}
    assert [difference.subject for difference in found(units=socket)] == [sshd.SOCKET_DROP_IN]


def test_dockers_own_rule_is_no_difference_where_nothing_is_asked_of_it() -> None:
    without = replace(DESIRED, forward_rules_v4=DESIRED.forward_rules_v4[4:])
    rules = [rule for rule in parse(printed()).rules_v4 if not rule.startswith("-A DOCKER-USER")]
    facts = replace(parse(printed()), rules_v4=(*rules, "-A DOCKER-USER -j RETURN"))
    assert differences(without, facts) == ()


def test_a_container_does_not_show_what_belongs_to_its_machine() -> None:
    facts = parse(printed())
    assert "kernel parameters" in not_shown(facts)
    assert not_shown(replace(facts, container="")) == ()


@pytest.mark.parametrize("subject", ["kernel.sysrq", "auditd.service", "swap"])
def test_a_machine_shows_what_a_container_does_not(subject: str) -> None:
    assert subject in {difference.subject for difference in found(container="", memory_mib=4096)}


def test_the_questions_name_everything_that_is_compared() -> None:
    questions = DESIRED.questions().splitlines()
    ask: Callable[[str], list[str]] = lambda kind: [line.split(" ", 1)[1] for line in questions if line.startswith(kind)]  # noqa: E731
    assert sshd.DROP_IN in ask("file")
    assert "kernel.sysrq" in ask("sysctl")
    assert {"docker.service", "auditd.service", "ssh.socket"} <= set(ask("unit"))
    assert ask("user") == ["deploy"]
