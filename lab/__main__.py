"""`python3 -m lab up|down|status|exec`: the lab of this checkout."""

import argparse
import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path

from lab.engine import docker
from lab.errors import LabError
from lab.lab import Lab
from lab.layout import LABEL
from lab.rehearsal import rehearse
from toolchain.errors import ToolchainError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="raise the lab, deploy the stack on it and check it")
    commands.add_parser("up", help="raise the lab, or what of it is missing")
    commands.add_parser("down", help="remove every container, network, volume and file of this lab")
    commands.add_parser("status", help="show the lab's machines, and what in it is real")
    execute = commands.add_parser("exec", help="run a command in the operator's container")
    execute.add_argument("words", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    lab = Lab.of_checkout(Path(__file__).parent.parent)
    try:
        if arguments.command == "run":
            rehearse(lab)
            print("\n" + status(lab))
        elif arguments.command == "up":
            lab.up()
        elif arguments.command == "down":
            lab.down()
        elif arguments.command == "status":
            print(status(lab))
        else:
            words = arguments.words[1:] if arguments.words[:1] == ["--"] else arguments.words
            return run_in_operator(lab, words or ["bash"])
    except (LabError, ToolchainError, subprocess.CalledProcessError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lab: interrupted; the next run goes on from here", file=sys.stderr)
        return 130
    return 0


def status(lab: Lab) -> str:
    """The lab's machines as Docker reports them, and what is real in each image."""
    shown = "{{.Names}}\t{{.State}}\t{{.Status}}"
    listed = docker("ps", "--all", "--filter", f"label={LABEL}={lab.id}", "--format", shown).stdout
    states = dict(line.split("\t", 1) for line in listed.splitlines())
    rows = [("machine", "address", "container", "state")]
    for name, container in lab.record.containers.items():
        state = states.get(container, "gone\tpython3 -m lab up").partition("\t")[2]
        rows.append((name, lab.addresses.on_internet(name), container, state))
    machines = [f"{a:<10}{b:<16}{c:<26}{d}" for a, b, c, d in rows]
    contents = [f"{name:<54}{service.real}" for name, service in lab.served.items()]
    stand_in = f"{'model providers, Telegram':<54}stand-in: answers with fixed texts and token counts; keeps messages"
    storage = f"{'object storage':<54}real: versitygw 1.8, policies enforced; lifecycle rules are kept and expire nothing"
    certificates = (
        f"{'certificates':<54}real: Pebble 2.10 by DNS-01, under the lab's root; OVH's API is a stand-in that checks signatures"
    )
    return "\n".join([*machines, "", *contents, stand_in, storage, certificates])


def run_in_operator(lab: Lab, words: list[str]) -> int:
    """Run `words` in the operator machine, in the caller's directory and on the caller's terminal if any; the exit code."""
    checkout, here = lab.layout.checkout, Path.cwd()
    directory = str(here if here.is_relative_to(checkout) else checkout)
    if sys.stdin.isatty() and sys.stdout.isatty():
        command = lab.operator.exec_command(directory=directory, options=["--interactive", "--tty"])
        os.execvp(command[0], [*command, *words])  # noqa: S606 - the terminal belongs to the command now
    # Without a terminal `docker exec` forwards no signal: after Ctrl-C a deployment would run on unseen.
    token = secrets.token_hex(8)
    command = lab.operator.exec_command({"LAB_EXEC": token}, directory, ["--interactive"])
    running = subprocess.Popen([*command, *words], start_new_session=True)

    def pass_on(number: int, _: object) -> None:
        lab.operator.run(["sh", "/usr/local/lib/lab/signal.sh", token, str(number)], check=False)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, pass_on)
    return running.wait()


if __name__ == "__main__":
    sys.exit(main())
