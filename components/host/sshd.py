"""sshd: one drop-in that meets dev-sec's ssh-baseline and ssh-audit's policy for the host's OpenSSH."""

from collections.abc import Mapping, Sequence

from components.host.control import Control, Deviation, Inherent, Setting, settings
from components.host.files import HostFile
from components.host.release import Release
from model.network import MESH
from model.ssh_key import LEAST_RSA_BITS

DROP_IN = "/etc/ssh/sshd_config.d/10-vpai.conf"
"""sshd takes the first value it reads: this drop-in precedes 50-cloud-init.conf and sshd_config itself."""

SOCKET_DROP_IN = "/etc/systemd/system/ssh.socket.d/vpai.conf"


def drop_in(ports: Sequence[int], user: str, release: Release = Release.DEBIAN_13, trusted: Sequence[str] = ()) -> HostFile:
    """sshd on `ports` for `user` alone. Failed logins never block `trusted` addresses or the mesh."""
    lines = [f"Port {port}" for port in ports]
    lines += [f"ListenAddress {address}" for address in _LISTEN]
    lines += [f"{key} {value}" for key, value in _directives(user, release, trusted).items()]
    return HostFile(DROP_IN, "# Written by the deployment; changes are lost.\n" + "\n".join(lines) + "\n", mode=0o600)


def socket_drop_in(ports: Sequence[int]) -> HostFile:
    """Where Ubuntu's ssh.socket listens for sshd: it ignores `Port`. The empty value clears the distribution's list."""
    listen = [f"ListenStream={address}:{port}" for port in ports for address in ("0.0.0.0", "[::]")]
    return HostFile(SOCKET_DROP_IN, "\n".join(["[Socket]", "ListenStream=", *listen, "BindIPv6Only=ipv6-only"]) + "\n")


def effective(
    ports: Sequence[int], user: str, release: Release = Release.DEBIAN_13, trusted: Sequence[str] = ()
) -> Mapping[str, str]:
    """The desired output of `sshd -T`; the values of a repeated key are sorted and joined by blanks."""
    listen = [f"{'[::]' if address == '::' else address}:{port}" for port in ports for address in _LISTEN]
    return {
        "port": " ".join(sorted(map(str, ports))),
        "listenaddress": " ".join(sorted(listen)),
        **{_PRINTED.get(key, key.lower()): value for key, value in _directives(user, release, trusted).items()},
    }


_LISTEN = ("0.0.0.0", "::")
"""All addresses: sshd would not start with one that the host does not have yet. The firewall decides who may connect."""

_PRINTED = {"ChallengeResponseAuthentication": "kbdinteractiveauthentication"}


def _directives(user: str, release: Release, trusted: Sequence[str]) -> dict[str, str]:
    return {
        **settings(CONTROLS),
        "KexAlgorithms": ",".join(_KEX[release]),
        "AllowUsers": user,
        "AuthorizedKeysFile": ".ssh/authorized_keys",
        **_penalties(release, trusted),
    }


def _penalties(release: Release, trusted: Sequence[str]) -> dict[str, str]:
    if release is Release.UBUNTU_24_04:
        return {}
    # Since 9.8 sshd itself blocks an address after failed logins or mere probes. It must never block the operator's addresses.
    return {"PerSourcePenaltyExemptList": ",".join(["127.0.0.0/8", "::1/128", str(MESH), *trusted])}


_KEX = {
    Release.DEBIAN_13: ("mlkem768x25519-sha256", "sntrup761x25519-sha512", "sntrup761x25519-sha512@openssh.com"),
    # OpenSSH 9.6 has only one hybrid key exchange; ssh-audit's policy for 24.04 would add those that a quantum computer breaks.
    Release.UBUNTU_24_04: ("sntrup761x25519-sha512@openssh.com",),
}

_CIPHERS = "chacha20-poly1305@openssh.com,aes256-gcm@openssh.com,aes256-ctr,aes192-ctr,aes128-gcm@openssh.com,aes128-ctr"
_MACS = "hmac-sha2-512-etm@openssh.com,hmac-sha2-256-etm@openssh.com,umac-128-etm@openssh.com"

_GONE = "OpenSSH has not known this option since {}; naming it would only print a warning"

CONTROLS: Mapping[str, Control] = {
    "sshd-01": Setting("ciphers", {"Ciphers": _CIPHERS}, "the same six, in ssh-audit's order"),
    "sshd-02": Setting("key exchange", {}, "hybrid post-quantum exchanges only, by release: stricter"),
    "sshd-03": Setting("MACs", {"MACs": _MACS}, "encrypt-then-MAC only, as ssh-audit asks: stricter"),
    "sshd-04": Inherent("/etc/ssh is root's, 0755", "the package makes it so"),
    "sshd-05": Setting("sshd_config is root's, 0600", {}, "the baseline sets the mode"),
    "sshd-06": Setting("no login as root", {"PermitRootLogin": "no"}),
    "sshd-07": Setting("explicit ports", {}, "the ports are arguments of the drop-in"),
    "sshd-08": Setting("address family", {"AddressFamily": "any"}),
    "sshd-09": Setting("explicit listen addresses", {}, "all addresses of both families; the firewall decides"),
    "sshd-10": Inherent("protocol 2", "OpenSSH has spoken nothing else since 7.6"),
    "sshd-11": Setting("StrictModes", {"StrictModes": "yes"}),
    "sshd-12": Setting("log facility", {"SyslogFacility": "AUTH"}),
    "sshd-13": Setting("log level", {"LogLevel": "VERBOSE"}),
    "sshd-14": Setting(
        "explicit host keys",
        {"HostKey": "/etc/ssh/ssh_host_ed25519_key"},
        "the pinned Ed25519 key only; RSA and ECDSA keys are not offered",
    ),
    "sshd-15": Inherent("no UseLogin", _GONE.format("7.4")),
    "sshd-16": Inherent("privilege separation", _GONE.format("7.5; separation is always on")),
    "sshd-17": Setting("no user environment", {"PermitUserEnvironment": "no"}),
    "sshd-18": Setting("login grace time", {"LoginGraceTime": "30"}),
    "sshd-19": Setting("authentication tries", {"MaxAuthTries": "2"}),
    "sshd-20": Deviation(
        "at most 10 sessions a connection",
        "a deployment multiplexes all its commands and Docker calls over one connection; the eleventh would fail",
        {"MaxSessions": "100"},
    ),
    "sshd-21": Deviation(
        "MaxStartups 10:30:100",
        "a deployment may open many connections at once; random drops would fail it. Strangers do not reach sshd at all",
        {"MaxStartups": "100:30:200"},
    ),
    "sshd-22": Setting("public keys", {"PubkeyAuthentication": "yes"}),
    "sshd-23": Setting("no rhosts", {"IgnoreRhosts": "yes"}),
    "sshd-24": Setting("no known_hosts of users", {"IgnoreUserKnownHosts": "yes"}),
    "sshd-25": Setting("no host-based login", {"HostbasedAuthentication": "no"}),
    "sshd-27": Setting("no passwords", {"PasswordAuthentication": "no"}),
    "sshd-28": Setting("no empty passwords", {"PermitEmptyPasswords": "no"}),
    "sshd-29": Setting("no challenge-response", {"ChallengeResponseAuthentication": "no"}),
    "sshd-30": Setting("no Kerberos", {"KerberosAuthentication": "no"}),
    "sshd-31": Setting("no local password after Kerberos", {"KerberosOrLocalPasswd": "no"}),
    "sshd-32": Setting("Kerberos tickets are destroyed", {"KerberosTicketCleanup": "yes"}),
    "sshd-33": Setting("no GSSAPI", {"GSSAPIAuthentication": "no"}),
    "sshd-34": Setting("GSSAPI credentials are destroyed", {"GSSAPICleanupCredentials": "yes"}),
    "sshd-35": Setting("no TCP keepalive", {"TCPKeepAlive": "no"}),
    "sshd-36": Setting("client alive interval", {"ClientAliveInterval": "300"}),
    "sshd-37": Setting("client alive count", {"ClientAliveCountMax": "3"}),
    "sshd-38": Setting("no tunnels", {"PermitTunnel": "no"}),
    "sshd-39": Setting("no TCP forwarding", {"AllowTcpForwarding": "no"}),
    "sshd-40": Setting("no agent forwarding", {"AllowAgentForwarding": "no"}),
    "sshd-41": Setting("no gateway ports", {"GatewayPorts": "no"}),
    "sshd-42": Setting("no X11", {"X11Forwarding": "no"}),
    "sshd-43": Setting("X11 on loopback", {"X11UseLocalhost": "yes"}),
    "sshd-44": Setting("no message of the day", {"PrintMotd": "no"}),
    "sshd-45": Setting("no last login", {"PrintLastLog": "no"}),
    "sshd-46": Setting("no banner", {"Banner": "none"}),
    "sshd-47": Setting("no distribution in the version", {"DebianBanner": "no"}),
    "sshd-48": Inherent("strong Diffie-Hellman primes", "the package's moduli are long enough, and no exchange uses them"),
    "sshd-49": Inherent("no CRYPTO_POLICY", "a Red Hat mechanism; Debian starts sshd without such options"),
    "sshd-50": Setting("RSA key size", {"RequiredRSASize": str(LEAST_RSA_BITS)}, "for users' keys; no RSA host key is offered"),
}
"""dev-sec ssh-baseline (2024-08), server side: 49 controls; number 26 does not exist."""
