"""Leaves a stand-in the commands that its real image has: `alpine` those of BusyBox, `none` no command at all."""

import subprocess
import sys
from pathlib import Path

DIRECTORIES = ("/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin")


def main(kind: str, *keep: str) -> None:
    kept = {"busybox", *keep} if kind == "alpine" else set(keep)
    for directory in map(Path, DIRECTORIES):
        for command in directory.iterdir():
            if command.name not in kept:
                command.unlink()
    if kind == "alpine":
        for applet in subprocess.run(["/usr/bin/busybox", "--list"], capture_output=True, text=True, check=True).stdout.split():
            if not (link := Path("/usr/bin") / applet).exists():
                link.symlink_to("busybox")


if __name__ == "__main__":
    main(*sys.argv[1:])
