"""The lab's machines: the cloud (DNS, images, model providers), its object storage, the hosts of the fleet, the operator, and
an outsider."""

import json
import os
from pathlib import Path

from lab.authority import Certificate
from lab.layout import (
    ACME,
    ACME_PORT,
    CLOUD,
    DOMAIN,
    HOSTS,
    LABEL,
    OPERATOR,
    OUTSIDER,
    PROVIDERS,
    REGISTRY,
    RESOLVERS,
    SERVER,
    SESE,
    STORAGE,
    Addresses,
    Layout,
)
from lab.machine import FileInside, Machine, bind
from lab.network import INTERNET
from lab.record import Record
from lab.storage import HOST as OBJECT_STORAGE
from lab.storage import accounts

HUB_SITES = ("singa", "biki", "misu", "buku", "hook")
"""Sites that the operator's DNS resolves to Seko-VPN (docs/runbooks/first-deploy.md)."""


OVH_NAMES_PORT = 5300
"""Port on the cloud's loopback interface of the name servers on which OVH publishes the domain's records."""


def cloud(layout: Layout, record: Record, certificate: Certificate, root: Certificate) -> Machine:
    """DNS, registry, model providers, an authority. All labs share the registry's storage, read-only."""
    addresses = record.addresses
    return Machine(
        name=CLOUD,
        container=layout.named(CLOUD),
        image=record.images[CLOUD],
        network=layout.named(INTERNET),
        addresses=_addresses(record, CLOUD),
        labels=_labels(layout),
        options=(
            *("--restart", "unless-stopped", "--cap-add", "NET_ADMIN"),
            bind(layout.shared / "registry", "/var/lib/registry", readonly=True),
            # The cloud boots the servers that it rents out (lab/providers/hetzner/machines.py).
            *(bind(path) for path in (_SOCKET, layout.directory / RESOLVERS_DIRECTORY)),
        ),
        files={
            "/etc/lab/dnsmasq.conf": FileInside(names(addresses, layout.hub)),
            "/etc/lab/servers.json": FileInside(json.dumps(_rented(layout, record))),
            "/etc/lab/gateway": FileInside(f"{addresses.gateway}/32"),
            "/etc/lab/resolvers": FileInside(" ".join(f"{resolver}/32" for resolver in RESOLVERS)),
            "/etc/lab/cloud.crt": FileInside(certificate.certificate.read_text()),
            "/etc/lab/cloud.key": FileInside(certificate.key.read_text(), mode=0o600),
            "/etc/lab/root.crt": FileInside(root.certificate.read_text()),
            "/etc/lab/root.key": FileInside(root.key.read_text(), mode=0o600),
            "/etc/lab/ports": FileInside(f"OVH_NAMES={OVH_NAMES_PORT}\nACME={ACME_PORT}\n"),
        },
    )


def storage(layout: Layout, record: Record, certificate: Certificate) -> Machine:
    """Object storage: a real S3 server under Hetzner's host name."""
    return Machine(
        name=STORAGE,
        container=layout.named(STORAGE),
        image=record.images[STORAGE],
        network=layout.named(INTERNET),
        addresses=_addresses(record, STORAGE),
        labels=_labels(layout),
        options=("--restart", "unless-stopped", "--stop-timeout", "3"),
        lasting=(f"{layout.named(STORAGE)}-objects:/var/lib/storage",),
        files={
            "/etc/lab/users.json": FileInside(accounts()),
            "/etc/lab/storage.crt": FileInside(certificate.certificate.read_text()),
            "/etc/lab/storage.key": FileInside(certificate.key.read_text(), mode=0o600),
        },
    )


def host(layout: Layout, record: Record, name: str, host_key: Path, deploy_key: Path) -> Machine:
    """A host as a provider hands it over: systemd, and sshd on port 22 that accepts the deploy key for root."""
    return Machine(
        name=name,
        container=layout.named(name),
        image=record.images[name],
        network=layout.named(INTERNET),
        addresses=_addresses(record, name),
        labels=_labels(layout),
        options=_host_options(),
        volumes=(f"{layout.named(name)}-docker:/var/lib/docker",),
        resolver=_resolver(layout, record, name),
        files={
            "/etc/ssh/ssh_host_ed25519_key": FileInside(host_key.read_text(), mode=0o600),
            "/etc/ssh/ssh_host_ed25519_key.pub": FileInside(host_key.with_suffix(".pub").read_text()),
            "/root/.ssh/authorized_keys": FileInside(deploy_key.with_suffix(".pub").read_text(), mode=0o600),
        },
    )


def _host_options() -> tuple[str, ...]:
    """Options of a container that boots systemd and runs its own Docker engine."""
    legacy = not Path("/sys/fs/cgroup/cgroup.controllers").exists()
    return (
        # --privileged would need CAP_SYS_RESOURCE, which not every machine can grant.
        *("--cap-add", "ALL", "--cap-drop", "SYS_RESOURCE"),
        *("--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"),
        *("--cgroupns", "host", bind(Path("/sys/fs/cgroup"))),
        *("--tmpfs", "/run", "--tmpfs", "/run/lock", "--tmpfs", "/tmp:exec"),
        *("--stop-signal", "SIGRTMIN+3", "--stop-timeout", "20", "--restart", "unless-stopped"),
        *_TUNNEL,
        # systemd 257 refuses cgroups v1 unless it is told twice.
        *(("--env", f"SYSTEMD_PROC_CMDLINE={_LEGACY_CGROUPS}") if legacy else ()),
    )


def _rented(layout: Layout, record: Record) -> dict[str, object]:
    """How the cloud runs a server: like the lab's hosts, with addresses of its own."""
    labels = (word for name, value in _labels(layout).items() for word in ("--label", f"{name}={value}"))
    return {
        "options": [*_host_options(), "--network", layout.named(INTERNET), *labels],
        "image": record.images[SERVER],
        "prefix": layout.named(f"{SERVER}-"),
        "resolvers": str(layout.directory / RESOLVERS_DIRECTORY),
        "nameserver": record.addresses.on_internet(CLOUD),
        "addresses": record.addresses.rented,
        "network_v6": record.addresses.internet_v6,
    }


_SOCKET = Path("/var/run/docker.sock")
RESOLVERS_DIRECTORY = "resolv"

# Docker switches IPv6 off on all interfaces but its own; the mesh must have it, as in production.
_TUNNEL = (
    *("--device", "/dev/net/tun"),
    *("--sysctl", "net.ipv6.conf.all.disable_ipv6=0", "--sysctl", "net.ipv6.conf.default.disable_ipv6=0"),
)
_LEGACY_CGROUPS = "systemd.unified_cgroup_hierarchy=0 SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"


def operator(layout: Layout, record: Record, deploy_key: Path) -> Machine:
    """The machine that deploys: checkout and cache at their own paths, the toolchain, the deploy key as default identity, and
    a tailscaled that keeps its identity when the machine is created anew."""
    owner = layout.checkout.stat()
    uid, gid = owner.st_uid, owner.st_gid
    home = "/root" if uid == 0 else "/home/deployer"
    mounts = [layout.checkout] + ([] if layout.cache.is_relative_to(layout.checkout) else [layout.cache])
    key = FileInside(deploy_key.read_text(), mode=0o600, uid=uid, gid=gid)
    executables = Path(record.toolchain) / "bin"
    return Machine(
        name=OPERATOR,
        container=layout.named(OPERATOR),
        image=record.images[OPERATOR],
        network=layout.named(INTERNET),
        addresses=_addresses(record, OPERATOR),
        labels=_labels(layout),
        options=(
            *_person(uid, gid, home),
            *_TUNNEL,
            *("--cap-add", "SYS_ADMIN", "--security-opt", "apparmor=unconfined"),  # to unmount Docker's resolv.conf
            *(bind(path) for path in mounts),
            bind(executables / "tailscale", "/usr/bin/tailscale", readonly=True),
            bind(executables / "tailscaled", "/usr/sbin/tailscaled", readonly=True),
            bind(Path(record.python_site), "/opt/vpai/site", readonly=True),
        ),
        lasting=(f"{layout.named(OPERATOR)}-tailscale:/var/lib/tailscale",),
        resolver=_resolver(layout, record, OPERATOR),
        files={f"{home}/.ssh/id_ed25519": key},
        user=f"{uid}:{gid}",
        environment={
            "HOME": home,
            "PATH": f"{executables}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "PULUMI_HOME": str(layout.directory / "pulumi-home"),
            "PULUMI_BACKEND_URL": f"file://{layout.directory / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "lab",
            "PULUMI_PYTHON_CMD": "/usr/local/bin/vpai-python",
            # boto3 has its own certificate authorities and ignores the machine's.
            "AWS_CA_BUNDLE": "/etc/ssl/certs/ca-certificates.crt",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_PARALLEL_DIFF": "true",
            "GOGC": "400",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "REQUESTS_CA_BUNDLE": "/etc/ssl/certs/ca-certificates.crt",
            "VPAI_CACHE": str(layout.cache),
            **{name: os.environ[name] for name in ("TERM",) if name in os.environ},
        },
    )


def outsider(layout: Layout, record: Record) -> Machine:
    """A machine on the Internet: the operator's programs, no key, no mesh. It runs as root, to forge packets."""
    return Machine(
        name=OUTSIDER,
        container=layout.named(OUTSIDER),
        image=record.images[OUTSIDER],
        network=layout.named(INTERNET),
        addresses=_addresses(record, OUTSIDER),
        labels=_labels(layout),
        options=_person(0, 0, "/root"),
        resolver=_resolver(layout, record, OUTSIDER),
    )


def names(addresses: Addresses, hub: str) -> str:
    """The Internet's DNS: hosts by name, the hub's sites to the hub, all other names of the domain to the stack's host.

    Names below na.<domain> exist in the mesh only.
    """
    here = addresses.on_internet(CLOUD)
    lines = [
        "no-resolv",
        "no-hosts",
        f"listen-address={','.join((here, *RESOLVERS, '127.0.0.1'))}",
        "bind-interfaces",
        f"address=/{DOMAIN}/{addresses.on_internet(SESE)}",
        *(f"address=/{name}.{DOMAIN}/{addresses.on_internet(name)}" for name in HOSTS),
        *(f"address=/{site}.{DOMAIN}/{addresses.on_internet(hub)}" for site in HUB_SITES),
        f"address=/na.{DOMAIN}/",
        *(f"address=/{name}/{here}" for name in (REGISTRY.partition(":")[0], ACME, *PROVIDERS)),
        f"address=/{OBJECT_STORAGE}/{addresses.on_internet(STORAGE)}",
        # Without these lines a query for an IPv6 address would be refused, not answered with an empty result.
        *(f"local=/{name}/" for name in (OBJECT_STORAGE, *PROVIDERS)),
        # OVH answers all queries but those for addresses: it publishes the records that prove the domain's names.
        f"server=/{DOMAIN}/127.0.0.1#{OVH_NAMES_PORT}",
        "cache-size=0",
    ]
    return "\n".join(lines) + "\n"


def _labels(layout: Layout) -> dict[str, str]:
    return {LABEL: layout.id}


def _addresses(record: Record, name: str) -> tuple[str, str]:
    return record.addresses.on_internet(name), record.addresses.on_internet_v6(name)


def _person(uid: int, gid: int, home: str) -> tuple[str, ...]:
    """Options of a machine that runs the image `operator`."""
    return (
        *("--init", "--restart", "unless-stopped", "--stop-timeout", "3", "--cap-add", "NET_ADMIN"),
        *("--env", f"OPERATOR_UID={uid}", "--env", f"OPERATOR_GID={gid}", "--env", f"HOME={home}"),
    )


def _resolver(layout: Layout, record: Record, name: str) -> tuple[Path, str]:
    """resolv.conf with the cloud's name server: nested containers cannot reach Docker's loopback resolver."""
    return layout.directory / RESOLVERS_DIRECTORY / name, f"nameserver {record.addresses.on_internet(CLOUD)}\n"
