"""Leaves an image the commands that the real one has: `alpine` those of BusyBox, `debian` the essential ones, `none` none at all.

Further arguments are commands that stay.
"""

import subprocess
import sys
from pathlib import Path

DIRECTORIES = ("/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin")
ADDED = {
    "busybox",
    "curl",
    "node",
    "nodejs",
    "ps",
    "top",
    "free",
    "pgrep",
    "pkill",
    "watch",
    "vmstat",
    "w",
    "uptime",
    "kill",
    "tini",
}
"""Of what the packages in Dockerfile brought, what a script would use."""


def main(kind: str, *keep: str) -> None:
    for directory in map(Path, DIRECTORIES):
        for command in directory.iterdir():
            if command.name not in keep and (command.name in ADDED if kind == "debian" else command.name != "busybox"):
                command.unlink()
    if kind == "alpine":
        for applet in subprocess.run(["/usr/bin/busybox", "--list"], capture_output=True, text=True, check=True).stdout.split():
            if not (link := Path("/usr/bin") / applet).exists():
                link.symlink_to("busybox")
    elif kind == "none":
        Path("/usr/bin/busybox").unlink(missing_ok=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
