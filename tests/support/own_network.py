"""Runs a program in a network namespace of its own, as root."""

import os
import subprocess


def printed(*words: str, given: str = "") -> str:
    """The program's output, with `given` on stdin."""
    root = [] if os.getuid() == 0 else ["sudo"]
    done = subprocess.run([*root, "unshare", "--net", *words], input=given, capture_output=True, text=True)
    assert done.returncode == 0, f"exit code {done.returncode}: {done.stderr}"
    return done.stdout
