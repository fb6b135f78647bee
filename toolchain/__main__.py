"""`python3 -m toolchain` finds, fetches or builds the toolchain and shows it; `--part deploy` only what deploys."""

import argparse
import signal
import sys
from pathlib import Path

from toolchain import parts
from toolchain.errors import ToolchainError
from toolchain.installed import find_installed
from toolchain.provision import cache_directory, contents, directory, provide, provide_bundle

_BUNDLES = {parts.DEPLOY: parts.deploy, parts.LAB: parts.lab}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m toolchain", description=__doc__)
    parser.add_argument("--part", choices=_BUNDLES, help="only what deploys, or only what the lab and the tests need besides")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--path", action="store_true", help="print only the directory")
    shown.add_argument("--key", action="store_true", help="print under which name --part is cached, and make nothing")
    arguments = parser.parse_args()
    if arguments.key and not arguments.part:
        parser.error("--key needs the part whose key it is, for example: --part deploy --key")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    bundles = [_BUNDLES[arguments.part]()] if arguments.part else [make() for make in _BUNDLES.values()]
    try:
        if arguments.key:
            print(directory(bundles[0], {}).name)
            return 0
        result, cached = provide_bundle(bundles[0]) if arguments.part else provide()
    except ToolchainError as error:
        print(f"toolchain: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("toolchain: interrupted; what is compiled so far is kept, the next run goes on from there", file=sys.stderr)
        return 130
    refused = {part.name: find_installed(part, cache_directory()).refused for bundle in bundles for part in bundle.parts}
    print(result if arguments.path else table(result, cached, refused))
    return 0


def table(result: Path, cached: bool, refused: dict[str, str]) -> str:
    """The parts with their sources, and why an installed part is not used."""
    rows = [("part", "version", "size", "source")]
    for name, part in contents(result).items():
        source = f"{part['source']}{', cached' if cached else ''}{f'; not used: {refused[name]}' if refused[name] else ''}"
        rows.append((name, str(part["version"]), f"{int(str(part['size'])) / 1e6:.0f} MB", source))
    return "\n".join([*(f"{name:<30}{version:<12}{size:>8}  {source}" for name, version, size, source in rows), str(result)])


if __name__ == "__main__":
    sys.exit(main())
