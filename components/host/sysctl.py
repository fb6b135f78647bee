"""Kernel parameters: dev-sec's linux-baseline, as far as a host with containers and a mesh can meet it."""

from collections.abc import Mapping

from components.host.control import Control, Deviation, Inherent, Setting, settings
from components.host.files import HostFile

NETWORK_PATH = "/etc/sysctl.d/60-vpai-network.conf"
"""Parameters of a network namespace: a host that is a container shows them."""

KERNEL_PATH = "/etc/sysctl.d/60-vpai-kernel.conf"
"""Parameters of the whole kernel: a host that is a container does not show them."""

UFW_PATH = "/etc/ufw/sysctl.conf"


def network_parameters(*, forwarding: bool) -> dict[str, str]:
    """Network parameters. `forwarding` for a host that runs containers. It comes first: a change resets other parameters."""
    return {"net.ipv4.ip_forward": str(int(forwarding)), **settings(NETWORK_CONTROLS)}


def kernel_parameters() -> dict[str, str]:
    """Parameters of the whole kernel."""
    return {**settings(KERNEL_CONTROLS), **_OPERATION}


def files(*, forwarding: bool) -> tuple[HostFile, ...]:
    """The files below /etc/sysctl.d, and UFW's file, which would undo them at each start of UFW."""
    return (
        HostFile(NETWORK_PATH, _text(network_parameters(forwarding=forwarding))),
        HostFile(KERNEL_PATH, _text(kernel_parameters())),
        HostFile(UFW_PATH, f"# UFW would set these at each start. They have one owner: {NETWORK_PATH}.\n"),
    )


def _text(parameters: Mapping[str, str]) -> str:
    return "".join(f"{key} = {value}\n" for key, value in parameters.items())


_OPERATION = {
    "kernel.panic": "10",
    "kernel.panic_on_oops": "1",
    # Redis forks to save. Without this the fork of a large process fails although memory is free.
    "vm.overcommit_memory": "1",
    "vm.swappiness": "10",
}


def _on(pattern: str, value: str) -> dict[str, str]:
    return {pattern.format(scope): value for scope in ("all", "default")}


_ROUTER_ADVERTISEMENTS = "providers and home networks hand out IPv6 addresses and routes by router advertisements"

NETWORK_CONTROLS: Mapping[str, Control] = {
    "sysctl-01": Deviation("no IPv4 forwarding", "containers need it; a host without containers has it off"),
    "sysctl-02": Deviation(
        "strict reverse path filter",
        "a reply may leave by another interface than the mesh's; loose mode still drops sources that no route knows",
        _on("net.ipv4.conf.{}.rp_filter", "2"),
    ),
    "sysctl-03": Setting("bogus ICMP errors ignored", {"net.ipv4.icmp_ignore_bogus_error_responses": "1"}),
    "sysctl-04": Setting("broadcast pings ignored", {"net.ipv4.icmp_echo_ignore_broadcasts": "1"}),
    "sysctl-05": Setting("ICMP rate limit", {"net.ipv4.icmp_ratelimit": "100"}),
    "sysctl-06": Setting("ICMP rate mask", {"net.ipv4.icmp_ratemask": "88089"}),
    "sysctl-07": Deviation(
        "no TCP timestamps",
        "since Linux 4.10 they start at random and show no uptime; without them SYN cookies lose window scaling",
        {"net.ipv4.tcp_timestamps": "1"},
    ),
    "sysctl-08": Setting("ARP ignore", {"net.ipv4.conf.all.arp_ignore": "1"}),
    "sysctl-09": Setting("ARP announce", {"net.ipv4.conf.all.arp_announce": "2"}),
    "sysctl-10": Setting("time-wait assassination", {"net.ipv4.tcp_rfc1337": "1"}),
    "sysctl-11": Setting("SYN cookies", {"net.ipv4.tcp_syncookies": "1"}),
    "sysctl-12": Setting("shared media", _on("net.ipv4.conf.{}.shared_media", "1")),
    "sysctl-13": Setting(
        "no source routing",
        _on("net.ipv4.conf.{}.accept_source_route", "0") | _on("net.ipv6.conf.{}.accept_source_route", "0"),
    ),
    "sysctl-14": Setting("no IPv4 redirects", _on("net.ipv4.conf.{}.accept_redirects", "0")),
    "sysctl-15": Setting("no secure redirects", _on("net.ipv4.conf.{}.secure_redirects", "0")),
    "sysctl-16": Setting("no redirects sent", _on("net.ipv4.conf.{}.send_redirects", "0")),
    "sysctl-17": Setting("martians logged", _on("net.ipv4.conf.{}.log_martians", "1")),
    "sysctl-19": Setting("no IPv6 forwarding", {"net.ipv6.conf.all.forwarding": "0"}, "containers have IPv4 only"),
    "sysctl-20": Setting("no IPv6 redirects", _on("net.ipv6.conf.{}.accept_redirects", "0")),
    "sysctl-21": Deviation("no router solicitations", _ROUTER_ADVERTISEMENTS),
    "sysctl-22": Setting("no router preference", {"net.ipv6.conf.default.accept_ra_rtr_pref": "0"}),
    "sysctl-23": Deviation("no prefix information", _ROUTER_ADVERTISEMENTS),
    "sysctl-24": Deviation("no default router from advertisements", _ROUTER_ADVERTISEMENTS),
    "sysctl-25": Deviation("no router advertisements", _ROUTER_ADVERTISEMENTS),
    "sysctl-26": Deviation("no IPv6 autoconfiguration", _ROUTER_ADVERTISEMENTS),
    "sysctl-27": Deviation("no duplicate address detection", "two hosts with one address would go unnoticed"),
    "sysctl-28": Deviation("one IPv6 address an interface", "a stable and a temporary address already are two"),
}

KERNEL_CONTROLS: Mapping[str, Control] = {
    "sysctl-29": Inherent("module loading stays possible", "the kernel's default, 0; Docker and the firewall load modules"),
    "sysctl-30": Setting("no magic SysRq", {"kernel.sysrq": "0"}),
    "sysctl-31a": Setting("no core dumps of setuid programs", {"fs.suid_dumpable": "0"}),
    "sysctl-31b": Inherent("path of core dumps", "asked only where fs.suid_dumpable is 2"),
    "sysctl-32": Setting("address space randomized", {"kernel.randomize_va_space": "2"}),
    "sysctl-33": Inherent("no-execute pages", "every amd64 and arm64 processor of the fleet has them"),
    "sysctl-34": Setting(
        "protected links, fifos and files",
        {
            "fs.protected_fifos": "2",
            "fs.protected_hardlinks": "1",
            "fs.protected_regular": "2",
            "fs.protected_symlinks": "1",
        },
    ),
}
"""dev-sec linux-baseline, sysctl controls; number 18 does not exist, number 35 (2026-05) could not be looked up."""
