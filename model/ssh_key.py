"""Public SSH keys: whether sshd, as every host runs it, accepts one."""

import base64
import hashlib

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

LEAST_RSA_BITS = 3072
"""sshd's RequiredRSASize (dev-sec ssh-baseline, sshd-50): it refuses a smaller key, and its owner is locked out."""
HOST_KEY_TYPE = "ssh-ed25519"
"""Type of the only host key that sshd shows on a host that is set up: a pinned key of another type never matches there."""


def fault(key: str) -> str:
    """What is wrong with one line of a .pub file; empty when sshd accepts it.

    The answer never repeats the line: by mistake it may be a private key.
    """
    if "PRIVATE KEY" in key:
        return "is the beginning of a private key, which belongs on your own machine alone"
    if key != key.strip() or "\n" in key:
        return "has blanks or a line's end around it"
    try:
        loaded = load_ssh_public_key(key.encode())
    except UnsupportedAlgorithm:
        return "is of a type that sshd does not accept, or has options in front"
    except ValueError:
        return "is not a whole public key: it is cut off, or of another type than it says"
    if isinstance(loaded, RSAPublicKey) and loaded.key_size < LEAST_RSA_BITS:
        return f"is an RSA key of {loaded.key_size} bits; sshd accepts {LEAST_RSA_BITS} and more"
    return ""


def fingerprint(key: str) -> str:
    """Fingerprint as `ssh-keygen -l` and a provider's console show it: SHA256 of the key itself, in base64 without padding."""
    blob = base64.b64decode(key.split()[1])
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
