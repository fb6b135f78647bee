"""Commands in a text: calls of Docker's client, and credentials that are written out."""

import base64
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

_FILE = re.compile(r"^file \d+ (\S+) ([A-Za-z0-9+/]+=*)$", re.MULTILINE)


def written_files(stdin: str) -> list[tuple[str, str]]:
    """Files that a host's baseline writes, in order: path and content (components/scripts/baseline.sh)."""
    return [(path, base64.b64decode(content).decode(errors="replace")) for path, content in _FILE.findall(stdin)]


_QUOTES = re.compile(r"\\\n|[\"'\\]")
_CLIENT = re.compile(r"(?<![\w.-])(?:docker|podman|nerdctl)(?![\w.-])[^\n;|&]*")
"""A client's name to the end of its command. Quotes are already removed, so a nested shell reads like the outer one."""
_GLOBAL = frozenset({"-H", "--host", "-c", "--context", "--config", "-l", "--log-level", "--tlscacert", "--tlscert", "--tlskey"})
_SWITCH_NAMES = """
-d --detach -i --interactive -t --tty -P --publish-all --privileged --read-only --rm --init --no-healthcheck --oom-kill-
disable --sig-proxy --disable-content-trust -q --quiet --help --use-api-socket --no-TTY
"""
_SWITCHES = frozenset(_SWITCH_NAMES.split())
_NESTED = frozenset(
    {"container", "image", "volume", "network", "swarm", "plugin", "service", "stack", "compose", "system", "node"}
)
_SHORT = re.compile(r"-(?P<switches>[dihtPq]*)(?P<option>[a-zA-Z]?)(?P<value>.*)")


@dataclass
class DockerCall:
    """One call of a client: `run`, `exec`, `swarm init`. Options by their long names, each with its values."""

    verb: str
    options: dict[str, list[str]] = field(default_factory=dict)

    def values(self, *names: str) -> list[str]:
        return [value for name in names for value in self.options.get(name, ())]

    def is_on(self, name: str) -> bool:
        """Whether a switch is on: the last value counts, as in Go's flags."""
        return bool(self.options.get(name)) and self.options[name][-1] not in ("0", "f", "F", "FALSE", "false", "False")


_LONG = {"-u": "--user", "-v": "--volume", "-e": "--env", "--net": "--network"}


def docker_calls(text: str) -> Iterator[DockerCall]:
    """Every call in a text. A variable before the arguments is taken for an option."""
    if "ocker" not in (bare := _QUOTES.sub(_joined, text)) and "podman" not in bare and "nerdctl" not in bare:
        return
    for found in _CLIENT.finditer(bare):
        words = [word for part in found[0].split()[1:] if (word := part.strip("[](){},`"))]
        yield from _call(words)


def _joined(found: re.Match[str]) -> str:
    return " " if found[0] == "\\\n" else ""


def _call(words: Sequence[str]) -> Iterator[DockerCall]:
    place = 0
    verb: list[str] = []
    while place < len(words) and len(verb) < 2:
        word = words[place]
        place += 1
        if word.startswith("-"):
            place += word in _GLOBAL
        elif not word.startswith("$"):
            verb.append(word)
            if word not in _NESTED:
                break
    if not verb:
        return
    call = DockerCall(" ".join(verb).removeprefix("container ").removeprefix("compose "))
    while place < len(words):
        word = words[place]
        place += 1
        if word.startswith("$"):
            continue
        if not word.startswith("-"):
            break
        name, value, needs = _option(word)
        if needs and place < len(words):
            value = words[place]
            place += 1
        call.options.setdefault(_LONG.get(name, name), []).append(value)
    yield call


def _option(word: str) -> tuple[str, str, bool]:
    """The option's name, its value, and whether the value is the next word."""
    if word.startswith("--"):
        name, given, value = word.partition("=")
        return name, value if given else "true", not given and name not in _SWITCHES
    found = _SHORT.fullmatch(word)
    if not found or not found["option"]:
        return word, "true", False
    return f"-{found['option']}", found["value"].removeprefix("="), not found["value"]


CREDENTIAL = re.compile(
    r"(?i)(password|passwd|passphrase|token|secret|api_?key|access_?key|private_?key|encryption_?key|credentials?"
    r"|(^|_)(pass|pwd|salt|dsn)|^sshpass|^rediscli_auth)$"
)
"""Names of variables and options whose values are secret."""
URL_PASSWORD = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s:@]*:(?P<password>[^/\s@]+)@")
_FLAG = re.compile(
    r"(?i)--?[a-z-]*(?:password|passwd|passphrase|requirepass|token|secret|api-?key|access-?key)(?![a-z-]*(?:file|path|name|-id|-dir))[a-z-]*"
)
_ASSIGNED = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)=(?P<value>.+)")


def is_literal(value: str) -> bool:
    """Whether a value is written out: no variable, no command's output, no placeholder."""
    return bool(bare := value.lstrip("\"'")) and not bare.startswith(("$", "`", "<", "{"))


def credentials(words: Sequence[str]) -> Iterator[str]:
    """Names of the credentials that the words contain: NAME=value, --flag=value, --flag value, and URLs with a password."""
    for word, following in zip(words, [*words[1:], ""], strict=False):
        flag, given, value = word.partition("=")
        if _FLAG.fullmatch(flag):
            if is_literal(value) if given else is_literal(following) and not following.startswith("-"):
                yield flag
        elif (said := _ASSIGNED.fullmatch(word)) and CREDENTIAL.search(said["name"]):
            if is_literal(said["value"]):
                yield said["name"]
        elif (found := URL_PASSWORD.search(word)) and is_literal(found["password"]):
            yield "a URL"


def words_of(text: str) -> list[str]:
    """The words of a shell text, without quotes."""
    return [word for part in re.split(r"[\s;|&()]+", _QUOTES.sub(_joined, text)) if (word := part)]
