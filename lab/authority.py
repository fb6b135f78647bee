"""The lab's certificate authority, one for all labs of this machine, and the certificates that it signs."""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError

_MONTH = 30 * 24 * 3600


@dataclass(frozen=True)
class Certificate:
    """A PEM certificate and its key."""

    certificate: Path
    key: Path

    @classmethod
    def in_directory(cls, directory: Path, name: str) -> "Certificate":
        return cls(directory / f"{name}.crt", directory / f"{name}.key")

    @property
    def usable(self) -> bool:
        """Whether the files exist and the certificate is valid for another month."""
        if not (self.certificate.exists() and self.key.exists()):
            return False
        check = ["openssl", "x509", "-in", str(self.certificate), "-noout", "-checkend", str(_MONTH)]
        return subprocess.run(check, capture_output=True).returncode == 0


def authority(directory: Path) -> Certificate:
    """The root certificate; created at the first call."""
    root = Certificate.in_directory(directory, "root")
    if not root.usable:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _request(root, "VPAI lab authority", ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"], 3650)
    return root


def issue(root: Certificate, directory: Path, name: str, hosts: Sequence[str]) -> Certificate:
    """A server certificate for `hosts`; created at the first call, and again when it lacks a name."""
    issued = Certificate.in_directory(directory, name)
    if not (issued.usable and _signed_by(root, issued) and _covers(issued, hosts)):
        # Python 3.13 refuses a chain without key usages and key identifiers.
        extensions = [
            "basicConstraints=critical,CA:FALSE",
            "keyUsage=critical,digitalSignature",
            "extendedKeyUsage=serverAuth",
            "authorityKeyIdentifier=keyid",
            "subjectAltName=" + ",".join(f"DNS:{host}" for host in hosts),
        ]
        _request(issued, name, extensions, 800, signer=root)
    return issued


def _signed_by(root: Certificate, issued: Certificate) -> bool:
    verify = ["openssl", "verify", "-CAfile", str(root.certificate), str(issued.certificate)]
    return subprocess.run(verify, capture_output=True).returncode == 0


def _covers(issued: Certificate, hosts: Sequence[str]) -> bool:
    """More names are allowed: clones of this repository with other names share the certificate."""
    show = ["openssl", "x509", "-in", str(issued.certificate), "-noout", "-ext", "subjectAltName"]
    shown = subprocess.run(show, capture_output=True, text=True).stdout
    return set(hosts) <= set(re.findall(r"DNS:([^,\s]+)", shown))


def _request(made: Certificate, name: str, extensions: Sequence[str], days: int, signer: Certificate | None = None) -> None:
    """Write key and certificate as drafts, then rename them: an interrupted run leaves no usable half."""
    draft = Certificate(made.certificate.with_suffix(".crt.draft"), made.key.with_suffix(".key.draft"))
    done = subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-sha256"),
            *("-days", str(days), "-subj", f"/CN={name}", "-keyout", str(draft.key), "-out", str(draft.certificate)),
            *(("-CA", str(signer.certificate), "-CAkey", str(signer.key)) if signer else ()),
            *(argument for extension in extensions for argument in ("-addext", extension)),
        ],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise LabError(f"openssl could not make the certificate {name} (it needs OpenSSL 3):\n{done.stderr.strip()}")
    draft.key.chmod(0o600)
    draft.key.replace(made.key)
    draft.certificate.replace(made.certificate)
