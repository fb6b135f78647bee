"""The distributions that a host may run."""

from enum import StrEnum


class Release(StrEnum):
    """ID and VERSION_ID of /etc/os-release. Needed only for texts that are written before the host is reached; scripts ask it."""

    DEBIAN_13 = "debian-13"
    UBUNTU_24_04 = "ubuntu-24.04"
