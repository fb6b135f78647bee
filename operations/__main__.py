"""`python -m operations COMMAND --stack STACK`: what the Makefile's targets call."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from decimal import Decimal, InvalidOperation
from io import StringIO
from pathlib import Path

from components import ssh
from components.docker.docker_host import LABEL_SERVICE
from model.problem import Problem, Refused, refuse
from model.service import Service
from operations.backups.host_program import backup, backups, restore, restore_files
from operations.checks.authentication import authentication
from operations.checks.drift import drift
from operations.checks.junit import junit
from operations.checks.smoke import report, smoke
from operations.cloud.cost import cost
from operations.deploy.recover import recover
from operations.deploy.rollback import rollback
from operations.deploy.runner import prepare
from operations.deploy.state_backend import state_backend
from operations.deploy.status import status
from operations.deploy.up import apply_plan, plan, plan_digest, publish_plan, take_plan, up
from operations.mesh.renew import renew
from operations.notify import notify
from operations.previews.post_comment import publish
from operations.secrets.recovery_kit import check_recovery_kit, stale, write_recovery_kit
from operations.stack import CommandFailed, Stack
from operations.table import collected, table
from stacks import standing


def main() -> int:
    """Run one command; the exit code, 0 for success."""
    arguments = _parser().parse_args()
    stack = Stack(arguments.stack)
    try:
        if getattr(arguments, "json", False):
            return _as_json(lambda: int(arguments.run(stack, arguments) or 0))
        return int(arguments.run(stack, arguments) or 0)
    except (Refused, CommandFailed) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\nInterrupted. Where an up was cut off: make state STACK={stack.name} says what stands.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, e.g. `head`, has closed the pipe
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115
        return 141
    except OSError as error:  # a file given as an option: name too long, missing, a directory, not ours, or no space left
        if error.filename is None:
            raise
        print(f"{str(error.filename)[:200]} cannot be used: {error.strerror}", file=sys.stderr)
        return 1


def _as_json(run: Callable[[], int]) -> int:
    """Print one JSON document: each table that `run` prints as a list of rows by column, and the rest of its text."""
    with collected() as tables, redirect_stdout(StringIO()) as text:
        code = run()
    print(json.dumps({"exit": code, "tables": tables, "text": text.getvalue().strip()}, indent=1))
    return code


def _status(stack: Stack, _: argparse.Namespace) -> int:
    return status(stack)


def _ssh_config(stack: Stack, _: argparse.Namespace) -> None:
    for host in stack.machines.values():
        print(f"ssh -F {host.config} {host.alias}")


def _logs(stack: Stack, arguments: argparse.Namespace) -> None:
    _in_service(stack, arguments.service, lambda _, container: ["docker", "logs", "--tail", "200", *arguments.command, container])


def _exec(stack: Stack, arguments: argparse.Namespace) -> None:
    words = ["sh", "-c", arguments.shell] if arguments.shell else arguments.command or ["sh"]
    _in_service(stack, arguments.service, lambda service, container: inside(service, container, words, _tty()))


def inside(service: Service, container: str, words: Sequence[str], options: Sequence[str] = ()) -> list[str]:
    """Command of a host that runs `words` in a container of `service`, with the secrets of the service's own program."""
    return ["docker", "exec", "-i", *options, container, *service.with_secrets, *words]


def _in_service(stack: Stack, service: str, command: Callable[[Service, str], list[str]]) -> None:
    """Replace this process by `command` on the host of `service`: "litellm", or "seko/caddy" where several hosts have one."""
    where, _, name = service.rpartition("/")
    declared = {(placement.host.name, candidate.name): candidate for placement, candidate in stack.inputs.fleet.services()}
    for host in stack.hosts:
        for container in stack.containers(host) if where in ("", host.alias) else ():
            known = (host.alias, name) in declared and container["Config"]["Labels"][LABEL_SERVICE] == name
            if known and container["State"]["Running"]:
                words = ssh.command(host.config, host.alias, command(declared[host.alias, name], container["Id"]))
                os.execvp(words[0], [words[0], *_tty(), *words[1:]])  # noqa: S606
    names = ", ".join(sorted(f"{placement.host.name}/{service.name}" for placement, service in stack.inputs.fleet.services()))
    refuse(
        [
            Problem(
                what=f"no running container of the service {service!r}",
                why="there is nothing to look into",
                fix=f"use one of: {names}; `make status STACK={stack.name}` shows their state",
                example=f"make logs STACK={stack.name} SERVICE=litellm",
            )
        ]
    )


def _tty() -> list[str]:
    return ["-t"] if sys.stdin.isatty() else []


def _recover(stack: Stack, arguments: argparse.Namespace) -> None:
    recover(stack, arguments.lock)


def _state(stack: Stack, _: argparse.Namespace) -> int:
    found = stack.standing()
    if found is None:
        raise CommandFailed(
            "the backend is neither a directory nor a bucket with its keys set: `pulumi whoami --verbose` says which"
        )
    print(standing.said(found))
    wrong = [*standing.problems(found), *standing.of_pending(found)]
    for problem in wrong:
        print(f"\n{problem}", file=sys.stderr)
    return min(len(wrong), 1)


def _drift(stack: Stack, _: argparse.Namespace) -> int:
    return drift(stack)


def _dns(stack: Stack, _: argparse.Namespace) -> int:
    from operations.mesh.dns import check  # imports dnspython

    return check(stack)


def _renew(stack: Stack, _: argparse.Namespace) -> None:
    renew(stack)


def _rollback(stack: Stack, arguments: argparse.Namespace) -> int:
    return rollback(stack, arguments.commit, arguments.may_lose, yes=arguments.yes)


def _smoke(stack: Stack, arguments: argparse.Namespace) -> int:
    checks = smoke(stack, chat=arguments.chat)
    if arguments.junit:
        Path(arguments.junit).write_text(junit(f"smoke {stack.name}", checks), encoding="utf-8")
    return report(checks)


def _authentication(stack: Stack, _: argparse.Namespace) -> int:
    answers = authentication(stack)
    rows = [
        ("ok" if answer.ok else "FAILED", answer.host, answer.service, answer.secret, answer.right, answer.wrong, answer.none)
        for answer in answers
    ]
    print(table(("", "host", "service", "credential", "the right one", "a wrong one", "none"), rows))
    failed = sum(not answer.ok for answer in answers)
    print(f"\n{len(answers) - failed} of {len(answers)} credentials are checked as they should be")
    return min(failed, 1)


def _recovery_kit(stack: Stack, arguments: argparse.Namespace) -> None:
    if arguments.check:
        check_recovery_kit(stack, Path(arguments.check), arguments.key)
        return
    path = Path(arguments.output or f"recovery-kit-{stack.name}.age")
    recipient = arguments.recipient or stack.inputs.settings.recovery_recipient
    if arguments.if_stale and path.exists():
        why = stale(stack, path)
        if not why:
            return
        print(f"{path} is stale: {why}. Its copies are of no use any more: replace each.", file=sys.stderr)
    if arguments.if_stale and not recipient:
        print(f"There is no recovery kit that counts: make recovery-kit STACK={stack.name} RECIPIENT=age1...", file=sys.stderr)
        return
    write_recovery_kit(stack, recipient, path)


def _cost(stack: Stack, arguments: argparse.Namespace) -> None:
    cost(stack, _euros(arguments.limit) if arguments.limit else None)


def _euros(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or not 0 <= amount < 10**9:
        refuse(
            [
                Problem(
                    what=f"LIMIT is {text!r}, which is no amount",
                    why="the cost is compared with it",
                    fix="give EUR a month, net",
                    example="make cost LIMIT=25.50",
                )
            ]
        )
    return amount


def _state_backend(stack: Stack, arguments: argparse.Namespace) -> None:
    state_backend(stack.name, arguments.bucket)


def _backup(stack: Stack, arguments: argparse.Namespace) -> int:
    return backup(stack, arguments.host)


def _backups(stack: Stack, arguments: argparse.Namespace) -> int:
    return backups(stack, arguments.host)


def _restore(stack: Stack, arguments: argparse.Namespace) -> int:
    return restore(
        stack,
        host=arguments.host,
        service=arguments.service,
        database=arguments.database,
        at=arguments.at,
        source=arguments.source,
        replace=arguments.replace == "yes",
        undo=arguments.undo == "yes",
    )


def _prune(stack: Stack, arguments: argparse.Namespace) -> int:
    from operations.backups.prune import prune

    return prune(stack, arguments.host)


def _rescue(stack: Stack, arguments: argparse.Namespace) -> int:
    from operations.backups.rescue import rescue

    return rescue(stack, arguments.host, arguments.to, in_place=arguments.in_place == "yes")


def _replace_host(stack: Stack, arguments: argparse.Namespace) -> int:
    from operations.hosts.replace_host import replace_host

    return replace_host(stack, arguments.host)


def _move_host(stack: Stack, arguments: argparse.Namespace) -> int:
    from operations.hosts.move_host import move_host

    replace_it, undo = arguments.replace == "yes", arguments.undo == "yes"
    return move_host(stack, arguments.host, arguments.to, arguments.key, replace_it=replace_it, undo=undo)


def _copy_attachments(stack: Stack, _: argparse.Namespace) -> int:
    from operations.backups.second_copy import copy_attachments

    return copy_attachments(stack)


def _restore_files(stack: Stack, arguments: argparse.Namespace) -> int:
    return restore_files(
        stack, host=arguments.host, service=arguments.service, at=arguments.at, source=arguments.source, to=arguments.to
    )


def _rotate(stack: Stack, arguments: argparse.Namespace) -> None:
    number = stack.inputs.settings.rotations.get(arguments.secret, 0) + 1
    stack.pulumi("config", "set", "--path", f"vpai:rotations.{arguments.secret}", str(number))
    print(f"vpai:rotations.{arguments.secret} = {number}; the next `pulumi up` makes the new value and replaces whoever uses it")


def _fake_secrets(stack: Stack, _: argparse.Namespace) -> None:
    from operations.secrets.fake_secrets import fake_secrets  # imports the whole catalogue

    fake_secrets(stack)


def _init(stack: Stack, _: argparse.Namespace) -> int:
    from operations.init import init  # imports the whole catalogue and dnspython

    return init(stack)


def _plan(stack: Stack, _: argparse.Namespace) -> None:
    plan(stack)


def _apply_plan(stack: Stack, arguments: argparse.Namespace) -> int:
    return apply_plan(stack, arguments.may_lose)


def _up(stack: Stack, arguments: argparse.Namespace) -> int:
    return up(stack, arguments.may_lose, [*arguments.option, *(["--yes"] if arguments.yes else [])])


def _publish_plan(stack: Stack, arguments: argparse.Namespace) -> None:
    publish_plan(stack, arguments.remote)


def _take_plan(stack: Stack, arguments: argparse.Namespace) -> None:
    take_plan(stack, arguments.commit, arguments.digest, arguments.remote)


def _plan_digest(stack: Stack, _: argparse.Namespace) -> None:
    plan_digest(stack)


def _comment(_: Stack, arguments: argparse.Namespace) -> None:
    publish(arguments.number, sys.stdin.read())


def _notify(stack: Stack, arguments: argparse.Namespace) -> None:
    notify(stack, arguments.message)


def _runner(stack: Stack, _: argparse.Namespace) -> None:
    prepare(stack)


def _preview_pull_request(stack: Stack, arguments: argparse.Namespace) -> int:
    from operations.previews.pull_request import preview_pull_request

    return preview_pull_request(stack.name, arguments.base, arguments.snapshot)


def _snapshot(stack: Stack, _: argparse.Namespace) -> None:
    from operations.previews import snapshot

    snapshot.snapshot(stack)


def _publish_snapshot(stack: Stack, arguments: argparse.Namespace) -> None:
    from operations.previews import snapshot

    snapshot.publish(stack.name, arguments.remote)


def _fetch_snapshot(stack: Stack, arguments: argparse.Namespace) -> None:
    from operations.previews import snapshot

    snapshot.fetch(stack.name, arguments.remote)


def _reap(_: Stack, arguments: argparse.Namespace) -> int:
    from operations.cloud.reap import reap  # imports Hetzner's client

    return reap(dry_run=arguments.dry_run)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="operations", description=__doc__)
    commands = parser.add_subparsers(required=True)

    def command(name: str, run: object, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text)
        sub.add_argument("-s", "--stack", required=True)
        sub.set_defaults(run=run)
        return sub

    command("status", _status, "what runs where, since when, how healthy, and what differs from the state")
    for name, run, text in (("logs", _logs, "a service's last log lines"), ("exec", _exec, "a command inside a service")):
        sub = command(name, run, text)
        sub.add_argument("service")
        sub.add_argument("command", nargs=argparse.REMAINDER)
    sub.add_argument("--shell", default="", metavar="TEXT", help="before the service: a command for its sh, instead of words")
    command("ssh-config", _ssh_config, "write the ssh_config that a plain refresh or destroy needs in a fresh clone")
    command("drift", _drift, "what differs on the hosts from what an up makes of them")
    command("dns", _dns, "the records that the zone needs, and what of them is published")
    command("renew", _renew, "let members back in whose key in the mesh has expired")
    sub = command("recover", _recover, "after a killed run: make state and hosts agree")
    sub.add_argument("--lock", default="", metavar="ID", help="of a run elsewhere that has died for certain: break its lock")
    command("state", _state, "where the state lies, and what is wrong with it")
    command("cost", _cost, "EUR a month and an hour, now and after an up").add_argument("--limit", default="")
    command("state-backend", _state_backend, "move the state into a bucket that keeps former versions").add_argument("bucket")
    sub = command("smoke", _smoke, "live checks")
    sub.add_argument("--chat", action="store_true", help="with a completion that is billed")
    sub.add_argument("--junit", default="", metavar="FILE", help="written as JUnit XML too")
    command("authentication", _authentication, "every credential: the right one is let in, a wrong one and none are not")
    kit = command("recovery-kit", _recovery_kit, "what a restore needs, sealed")
    kit.add_argument("--recipient", default="")
    kit.add_argument("--output", default="")
    kit.add_argument("--if-stale", action="store_true", help="or missing")
    kit.add_argument("--check", default="", metavar="KIT", help="open this one, and the repositories and the state with it")
    kit.add_argument("--key", default="", metavar="FILE", help="with the private age key")
    command("plan", _plan, "what an up would do, kept to be applied")
    back = command("rollback", _rollback, "the code of the previous commit again: show, ask, apply")
    back.add_argument("commit", nargs="?", default="")
    guarded = (command("apply-plan", _apply_plan, "exactly the plan"), back, command("up", _up, "show, ask, apply"))
    guarded[-1].add_argument("option", nargs="*", help="of pulumi up, after `--`; not for production")
    for sub in guarded[1:]:
        sub.add_argument("--yes", action="store_true", help="ask nothing; not for production")
    for sub in guarded:
        sub.add_argument("--may-lose", default="", help="resources whose data may go, by comma")
    for sub in (
        command("backup", _backup, "a backup now, followed"),
        command("backups", _backups, "the runs that there are"),
        command("prune", _prune, "give old runs up, check the repositories"),
        command("rescue", _rescue, "undo an overwriting of a repository, by content"),
        command("restore", _restore, "bring a run back"),
        command("restore-files", _restore_files, "files of a run into a directory of the host"),
    ):
        sub.add_argument("--host", default="")
        if "restore" in sub.prog:
            sub.add_argument("--service", default="")
            sub.add_argument("--at", default="", help="a run, a snapshot, or the latest one until a moment")
            sub.add_argument("--from", dest="source", default="", help="bucket, staging, or a directory of the host")
        if sub.prog.endswith("restore"):
            sub.add_argument("--database", default="")
            sub.add_argument("--replace", default="", metavar="yes")
            sub.add_argument("--undo", default="", metavar="yes")
        if sub.prog.endswith(("files", "rescue")):
            sub.add_argument("--to", default="", help="a directory, of the host or for a rescue of this machine")
        if sub.prog.endswith("rescue"):
            sub.add_argument("--in-place", default="", metavar="yes")
    fresh = command("replace-host", _replace_host, "a fresh machine in the place of a host that is gone")
    fresh.add_argument("--host", default="")
    moved = command("move-host", _move_host, "a host's data goes to another machine, which takes its place")
    moved.add_argument("--host", default="")
    moved.add_argument("--to", default="", help="the new machine's address")
    moved.add_argument("--key", default="", help="its host key")
    moved.add_argument("--replace", default="", metavar="yes")
    moved.add_argument("--undo", default="", metavar="yes")
    command("copy-attachments", _copy_attachments, "attachments into the bucket of another account")
    command("plan-digest", _plan_digest, "the digest by which a plan is approved")
    command("rotate", _rotate, "a new value for a generated secret at the next up").add_argument("secret")
    command("init", _init, "a first configuration, by questions")
    command("fake-secrets", _fake_secrets, "values that open nothing for what a copy needs and has not")
    sub = command("preview-pull-request", _preview_pull_request, "what this checkout would change, without secrets and hosts")
    sub.add_argument("--base", default="origin/main", help="the commit to compare with where there is no snapshot")
    sub.add_argument("--snapshot", default="", help="the file of what is deployed")
    command("snapshot", _snapshot, "what is deployed, without its secrets")
    command("runner", _runner, "SSH and the mesh for a machine of a CI system")
    command("notify", _notify, "a line to the operators' chat").add_argument("message")
    moves = (
        command("publish-snapshot", _publish_snapshot, "to a ref of its own"),
        command("fetch-snapshot", _fetch_snapshot, "the published one"),
        command("publish-plan", _publish_plan, "for another machine to apply"),
        command("take-plan", _take_plan, "the published one, if it is of the commit"),
    )
    for sub in moves:
        sub.add_argument("--remote", default="origin")
    moves[-1].add_argument("--commit", required=True, help="in full")
    moves[-1].add_argument("--digest", required=True, help="in full, as the plan showed it")
    said = commands.add_parser("comment", help="a preview's text at its pull request, from stdin")
    said.add_argument("number", type=int)
    said.set_defaults(run=_comment, stack="")
    whole = commands.add_parser("reap", help="destroy the stacks that have expired, tell what belongs to none")
    whole.add_argument("--dry-run", action="store_true", help="only tell")
    whole.set_defaults(run=_reap, stack="")
    for name in TABLES:
        commands.choices[name].add_argument("--json", action="store_true", help="one JSON document instead of text")
    return parser


TABLES = ("status", "smoke", "drift", "dns", "cost", "authentication", "backups", "prune")
"""Commands whose result is a table."""


if __name__ == "__main__":
    sys.exit(main())
