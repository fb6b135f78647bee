"""The stack's identity: passphrase and state, kind, domain, and who may log in."""

import os
import secrets
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from model import ssh_key
from model.kind import Kind
from model.problem import refuse
from operations.init import answers
from operations.init.dialogue import Wrong
from operations.init.session import Session
from operations.secrets.recovery_kit import FILE, PASSPHRASE
from operations.stack import PROJECT, CommandFailed
from operations.table import table
from stacks import standing

KINDS = {
    str(Kind.PRODUCTION): "the platform itself: guarded, its data is kept, nothing is deployed that nobody has read",
    str(Kind.COPY): "a trial of it at half its size, on one server, thrown away afterwards",
}


def state(session: Session) -> None:
    """Create the stack, with the passphrase that encrypts its secrets."""
    stack_state = standing.standing(session.stack)
    begun = stack_state is not None and stack_state.size is not None
    if stack_state and (begun or stack_state.configured_salt):
        refuse(standing.problems(stack_state))
    if not {PASSPHRASE, FILE} & os.environ.keys() and "secretsprovider:" not in session.written.text:
        _passphrase(session)
    if stack_state and not begun:
        session.written.begin()
        session.dialogue.report(
            f"\nMade: the stack {session.stack}. Its state lies in {stack_state.backend} (docs/runbooks/state.md)."
        )
    session.written.head()


def _passphrase(session: Session) -> None:
    name = f"~/.config/vpai/{session.stack}.passphrase"
    usual = Path(name).expanduser()
    if usual.exists():
        session.dialogue.report(f"\nThe passphrase is taken from {name}.")
        os.environ[FILE] = str(usual)
        return
    session.dialogue.topic(
        "Passphrase",
        "It encrypts every secret of the stack, and lies in a file outside of this checkout. Keep a copy of that file elsewhere: "
        "without it no secret can be opened again.\n"
        "Enter: a new one, in the file below; or name a file that holds yours.\n"
        f"Example: {name}",
    )

    def read(answer: str) -> Path:
        path = Path(answer).expanduser()
        if path.resolve().is_relative_to(PROJECT.resolve()):
            raise Wrong(f"{path} lies in this checkout, which is committed and pushed. For example: {name}")
        if path == usual and not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(32) + "\n")
        try:
            if not path.read_text().strip():
                raise Wrong(f"{path} is empty. For example: openssl rand -base64 32 >{path}")
        except (OSError, UnicodeDecodeError):
            raise Wrong(f"{path} cannot be read. Make it first, or press Enter for {name}") from None
        return path

    os.environ[FILE] = str(session.dialogue.ask("file", read, enter=name))


def shown(session: Session) -> None:
    """Print the settings that exist already."""
    values, encrypted = session.written.values, session.written.secrets
    if values:
        rows = [row for key, value in values.items() for row in _rows(key, "set, encrypted" if key in encrypted else value)]
        reported = f"Not asked again. To change one: make shell STACK={session.stack}, then pulumi config set."
        session.dialogue.topic("Configured already", reported)
        print(table(("setting", "value"), rows))


def kind(session: Session) -> None:
    """Ask whether the stack is production or a copy."""
    if "kind" in session.written.values:
        return
    text = "\n".join(f"  {kind}: {meaning}" for kind, meaning in KINDS.items())
    session.dialogue.topic("Kind", f"What the stack is for.\n{text}\nExample: production")
    chosen = session.dialogue.ask("kind", answers.one_of(KINDS, "kind"), example="production")
    # A copy and its data are destroyed after use.
    session.written.set({"kind": chosen, **({"protectData": "false"} if chosen == Kind.COPY else {})})


def domain(session: Session) -> None:
    """Ask for the domain of all sites."""
    if "domain" in session.written.values:
        return
    session.dialogue.topic(
        "Domain",
        "Every site is a name below it, and certificates are issued for it: its zone has to be yours, at OVH.\n"
        + ("A copy takes production's: its sites are <site>.<stack>.<domain>.\n" if session.is_copy else "")
        + "Example: example.org, or vpai.example.org",
    )
    form = "domain: small letters, digits and dashes between dots, nothing in front or behind"
    read = answers.setting("domain", form, "vpai.example.org")
    chosen = session.checked("domain", read, lambda answer: _zone(session, answer), example="vpai.example.org")
    session.written.set({"domain": chosen})


def _zone(session: Session, domain: str) -> None:
    """Raises `Wrong` when neither the domain nor a parent of it is a zone."""
    ask, labels = session.resolvers(), domain.split(".")
    try:
        if not any(ask(".".join(labels[start:]), "SOA") for start in range(len(labels) - 1)):
            raise Wrong(f"The Internet knows no zone of {domain}: is it spelt as it was registered?")
    except CommandFailed as silent:
        session.unchecked(f"whether {domain} is known", silent)


def keys(session: Session) -> None:
    """Choose the files for host keys and public keys, and add a public key."""
    names = {"knownHosts": "known_hosts", "authorizedKeys": "authorized_keys"}
    files = {key: _file(session, key, name) for key, name in names.items()}
    path = PROJECT / files["authorizedKeys"]
    if not _lines(path):
        found = _own_keys()
        numbered = "\n".join(f"  {number}. {_named(key)}" for number, key in enumerate(found, 1))
        example = "1" if found else "~/.ssh/id_ed25519.pub"
        session.dialogue.topic(
            "SSH keys",
            "The public keys that may log in on every host. Yours has to be in your SSH agent or in ~/.ssh "
            "when you deploy.\n"
            + (
                f"Found here:\n{numbered}\nGive numbers, or name a file."
                if found
                else "None was found; ssh-keygen -t ed25519 makes one."
            )
            + f"\nExample: {example}",
        )
        append(path, session.dialogue.ask("keys", answers.keys(found, PROJECT), example=example))
    missing = {key: name for key, name in files.items() if key not in session.written.values}
    if missing:
        session.written.set(missing)


def _file(session: Session, key: str, name: str) -> str:
    """The configured path; else production's, for a copy when there is exactly one; else the default."""
    if written := session.written.values.get(key):
        return str(written)
    others = sorted((PROJECT / "hosts").glob(f"*.{name}"))
    if session.is_copy and len(others) == 1:
        return str(others[0].relative_to(PROJECT))
    return f"hosts/{session.stack}.{name}"


def append(path: Path, lines: Sequence[str]) -> None:
    """Append all lines to a file, or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    former = path.read_text() if path.exists() else ""
    draft = path.with_name(f".{path.name}.new")
    draft.write_text(former + ("\n" if former and not former.endswith("\n") else "") + "".join(f"{line}\n" for line in lines))
    draft.replace(path)


def _lines(path: Path) -> tuple[str, ...]:
    text = path.read_text() if path.exists() else ""
    return tuple(line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#"))


def _own_keys() -> tuple[str, ...]:
    """This user's valid public keys: ~/.ssh/*.pub, and those of the SSH agent."""
    lines = [line for file in sorted((Path.home() / ".ssh").glob("*.pub")) for line in _lines(file)]
    try:
        done = subprocess.run(["ssh-add", "-L"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        lines += done.stdout.splitlines() if done.returncode == 0 else []
    except FileNotFoundError:
        pass
    sound = {key.split()[1]: key for key in reversed(lines) if not ssh_key.fault(key)}
    return tuple(reversed(sound.values()))


def _named(key: str) -> str:
    kind, _, comment = (*key.split(maxsplit=2), "")[:3]
    return f"{kind} {ssh_key.fingerprint(key)} {comment}".strip()


def _rows(key: str, value: object) -> Iterator[tuple[str, str]]:
    """One row for each plain value; the items of a list share a row."""
    if isinstance(value, Mapping):
        for name, of in value.items():
            yield from _rows(f"{key}.{name}", "set, encrypted" if name == "secure" else of)
    else:
        yield key, ", ".join(map(str, value)) if isinstance(value, list) else str(value)
