"""The distributions that a host may run."""

from enum import StrEnum


class Release(StrEnum):
    """ID and VERSION_ID of /etc/os-release. Only what a text must know beforehand asks for it; scripts look on the host."""

    DEBIAN_13 = "debian-13"
    UBUNTU_24_04 = "ubuntu-24.04"
