"""The lab's three machines: the cloud (names, images, model providers), the operator, and the host sese."""

import os
from pathlib import Path

from lab.authority import Certificate
from lab.layout import CLOUD, DOMAIN, LABEL, OPERATOR, PROVIDERS, REGISTRY, SESE, Addresses, Layout
from lab.machine import FileInside, Machine
from lab.network import INTERNET, MESH
from lab.record import Record


def cloud(layout: Layout, record: Record, certificate: Certificate) -> Machine:
    """DNS, registry and model providers; the registry's storage is shared with every other lab, read-only."""
    addresses = record.addresses
    return Machine(
        name=CLOUD,
        container=layout.named(CLOUD),
        image=record.images[CLOUD],
        addresses={layout.named(INTERNET): addresses.on_internet(CLOUD)},
        labels=_labels(layout),
        options=(
            *("--restart", "unless-stopped", "--cap-add", "NET_ADMIN"),
            f"--volume={layout.shared / 'registry'}:/var/lib/registry:ro",
        ),
        files={
            "/etc/lab/dnsmasq.conf": FileInside(names(addresses)),
            "/etc/lab/cloud.crt": FileInside(certificate.certificate.read_text()),
            "/etc/lab/cloud.key": FileInside(certificate.key.read_text(), mode=0o600),
        },
    )


def sese(layout: Layout, record: Record, host_key: Path, deploy_key: Path) -> Machine:
    """The host: systemd, sshd and a Docker engine of its own."""
    legacy = not Path("/sys/fs/cgroup/cgroup.controllers").exists()
    return Machine(
        name=SESE,
        container=layout.named(SESE),
        image=record.images[SESE],
        addresses=_on_both(layout, record.addresses, SESE),
        labels=_labels(layout),
        options=(
            # --privileged would ask for CAP_SYS_RESOURCE, which not every machine has to give.
            *("--cap-add", "ALL", "--cap-drop", "SYS_RESOURCE"),
            *("--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"),
            *("--cgroupns", "host", "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw"),
            *("--tmpfs", "/run", "--tmpfs", "/run/lock", "--tmpfs", "/tmp:exec"),
            *("--stop-signal", "SIGRTMIN+3", "--stop-timeout", "20", "--restart", "unless-stopped"),
            *(("--device", "/dev/net/tun") if Path("/dev/net/tun").exists() else ()),
            # systemd 257 refuses the first version of cgroups unless told twice.
            *(("--env", f"SYSTEMD_PROC_CMDLINE={_LEGACY_CGROUPS}") if legacy else ()),
            _resolver(layout),
        ),
        volumes=(f"{layout.named(SESE)}-docker:/var/lib/docker",),
        files={
            "/etc/ssh/ssh_host_ed25519_key": FileInside(host_key.read_text(), mode=0o600),
            "/etc/ssh/ssh_host_ed25519_key.pub": FileInside(host_key.with_suffix(".pub").read_text()),
            "/home/deploy/.ssh/authorized_keys": FileInside(
                deploy_key.with_suffix(".pub").read_text(), mode=0o600, uid=1000, gid=1000
            ),
        },
    )


_LEGACY_CGROUPS = "systemd.unified_cgroup_hierarchy=0 SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"


def operator(layout: Layout, record: Record, deploy_key: Path) -> Machine:
    """Who deploys: the checkout and the cache at their own paths, the toolchain, the deploy key as default identity."""
    owner = layout.checkout.stat()
    uid, gid = owner.st_uid, owner.st_gid
    home = "/root" if uid == 0 else "/home/deployer"
    mounts = [layout.checkout] + ([] if layout.cache.is_relative_to(layout.checkout) else [layout.cache])
    key = FileInside(deploy_key.read_text(), mode=0o600, uid=uid, gid=gid)
    return Machine(
        name=OPERATOR,
        container=layout.named(OPERATOR),
        image=record.images[OPERATOR],
        addresses=_on_both(layout, record.addresses, OPERATOR),
        labels=_labels(layout),
        options=(
            *("--init", "--restart", "unless-stopped", "--stop-timeout", "1"),
            *("--env", f"OPERATOR_UID={uid}", "--env", f"OPERATOR_GID={gid}", "--env", f"HOME={home}"),
            *(f"--volume={path}:{path}" for path in mounts),
            f"--volume={record.python_site}:/opt/vpai/site:ro",
            _resolver(layout),
        ),
        files={f"{home}/.ssh/id_ed25519": key},
        user=f"{uid}:{gid}",
        environment={
            "HOME": home,
            "PATH": f"{record.toolchain}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "PULUMI_HOME": str(layout.directory / "pulumi-home"),
            "PULUMI_BACKEND_URL": f"file://{layout.directory / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "lab",
            "PULUMI_PYTHON_CMD": "/usr/local/bin/vpai-python",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "VPAI_CACHE": str(layout.cache),
            **{name: os.environ[name] for name in ("TERM",) if name in os.environ},
        },
    )


def names(addresses: Addresses) -> str:
    """The lab's DNS: the domain is sese's mesh address, as mesh clients see it; nobody else has a name."""
    here = addresses.on_internet(CLOUD)
    lines = [
        "no-resolv",
        "no-hosts",
        f"listen-address={here},127.0.0.1",
        "bind-interfaces",
        f"address=/{DOMAIN}/{addresses.on_mesh(SESE)}",
        *(f"address=/{name}/{here}" for name in (REGISTRY.partition(":")[0], *PROVIDERS)),
        # Without these a question for an IPv6 address would be refused instead of answered with nothing.
        *(f"local=/{name}/" for name in (DOMAIN, *PROVIDERS)),
    ]
    return "\n".join(lines) + "\n"


def _labels(layout: Layout) -> dict[str, str]:
    return {LABEL: layout.id}


def _on_both(layout: Layout, addresses: Addresses, machine: str) -> dict[str, str]:
    return {
        layout.named(INTERNET): addresses.on_internet(machine),
        layout.named(MESH): addresses.on_mesh(machine),
    }


def _resolver(layout: Layout) -> str:
    """A real address instead of Docker's loopback resolver: nested containers inherit it."""
    return f"--volume={layout.directory / 'resolv.conf'}:/etc/resolv.conf:ro"
