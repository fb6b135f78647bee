"""`python3 -m toolchain` builds or finds the toolchain and shows it; `--path` prints only its directory."""

import argparse
import json
import signal
import sys
from pathlib import Path

from toolchain.errors import ToolchainError
from toolchain.provision import MANIFEST, provide


def main() -> int:
    arguments = argparse.ArgumentParser(prog="python3 -m toolchain", description=__doc__)
    arguments.add_argument("--path", action="store_true", help="print only the directory")
    only_path = arguments.parse_args().path
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        directory, cached = provide()
    except ToolchainError as error:
        print(f"toolchain: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("toolchain: interrupted; what is compiled so far is kept, the next run goes on from there", file=sys.stderr)
        return 130
    print(directory if only_path else table(directory, cached))
    return 0


def table(directory: Path, cached: bool) -> str:
    rows = [("part", "version", "size", "source")]
    for name, part in json.loads((directory / MANIFEST).read_text()).items():
        rows.append((name, part["version"], f"{part['size'] / 1e6:.0f} MB", part["source"] + (", cached" if cached else "")))
    return "\n".join([*(f"{name:<30}{version:<12}{size:>8}  {source}" for name, version, size, source in rows), str(directory)])


if __name__ == "__main__":
    sys.exit(main())
