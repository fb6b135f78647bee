"""Paths of a host, resolved as its kernel does."""

import re
from functools import cache
from posixpath import normpath

_LINKS = {
    "/var/run": "/run",
    "/var/lock": "/run/lock",
    "/bin": "/usr/bin",
    "/sbin": "/usr/sbin",
    "/lib": "/usr/lib",
    "/lib64": "/usr/lib64",
}
"""Symbolic links of every fresh Debian 13 and Ubuntu 24.04."""
_ROOT_AGAIN = re.compile(r"/proc/[^/]+/(?:task/[^/]+/)?root(?=/|$)")
"""The root directory again, below /proc."""
_OWN = re.compile(r"/opt/[a-z0-9][a-z0-9-]*/(?:data|config)/[^/:]+(?:/[^:]*)?")


@cache
def canonical(path: str) -> str:
    """The path without doubled slashes, dots and the links of a fresh installation; a relative path starts at the root."""
    found = normpath("/" + path.lstrip("/"))
    for _ in range(len(_LINKS)):
        found = normpath(_ROOT_AGAIN.sub("/", found).replace("//", "/"))
        link = next((link for link in _LINKS if within(found, link)), None)
        if not link:
            break
        found = _LINKS[link] + found.removeprefix(link)
    return found


def within(path: str, directory: str) -> bool:
    """Whether a canonical path is `directory` or below it."""
    return path == directory or path.startswith(f"{directory.rstrip('/')}/")


def is_own(path: str) -> bool:
    """Whether a path is in the data or the configuration of one service; every other path is the host's."""
    return path.startswith("/") and bool(_OWN.fullmatch(canonical(path)))
