"""Follows a chain of iptables in order for one kind of traffic: what the chain lets through before it drops the rest."""

import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from ipaddress import IPv4Network

_LONG = {
    "--source": "-s",
    "--src": "-s",
    "--destination": "-d",
    "--dst": "-d",
    "--in-interface": "-i",
    "--out-interface": "-o",
    "--protocol": "-p",
    "--proto": "-p",
    "--jump": "-j",
    "--append": "-A",
    "--insert": "-I",
    "--destination-port": "--dport",
    "--state": "--ctstate",
}
OUTSIDE = "outside"
"""Any interface that is not one of Docker's bridges."""
_BRIDGES = ("br-", "docker")
_PASSING = ("RETURN", "ACCEPT")
_ENDING = ("DROP", "REJECT")
_SILENT = ("LOG", "NFLOG", "MARK", "CONNMARK", "")
"""Targets after which the next rule is evaluated."""
_UNREAD = "what cannot be read"
"""Target of an unreadable rule: it may let anything through."""
_COMMANDS = ("-A", "-I", "-N", "-X", "-F", "-Z", "-D", "-R", "-P", "-E")
_WITHOUT_MEANING = ("-m", "--match", "--comment", "--reject-with", "--log-prefix", "--log-level")


@dataclass(frozen=True)
class Test:
    """One match of a rule: the option's value and whether the match is negated."""

    value: str
    negated: bool = False


@dataclass(frozen=True)
class IptablesRule:
    """One rule: its options in short form, and its target. `readable` is false when an option is given twice."""

    text: str
    tests: dict[str, Test] = field(default_factory=dict)
    target: str = ""
    readable: bool = True


Ranges = tuple[tuple[int, int], ...]
"""First and last address of each range, as numbers."""


def within(*networks: IPv4Network) -> Ranges:
    """Networks as ranges."""
    return tuple((int(network.network_address), int(network.broadcast_address)) for network in networks)


ANYWHERE = within(IPv4Network("0.0.0.0/0"))


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """New connections that enter by `into` and leave by `out`, from any `source` to any `destination` address."""

    into: str
    out: str = OUTSIDE
    source: Ranges = ANYWHERE
    destination: Ranges = ANYWHERE


@dataclass(frozen=True)
class Verdict:
    """The rules that let some of the traffic through, in order, and whether all the rest is dropped."""

    passing: tuple[IptablesRule, ...]
    dropped: bool


@cache
def chain(text: str, table: str, name: str) -> Sequence[IptablesRule]:
    """The rules of a chain, appended or inserted, from the input of `iptables-restore`."""
    rules: list[IptablesRule] = []
    inside = ""
    for line in text.splitlines():
        if line.startswith("*"):
            inside = line[1:].strip()
        elif inside == table:
            for place, rule in _rule(line, name):
                rules.insert(len(rules) if place is None else place, rule)
    return rules


def follow(
    rules: Sequence[IptablesRule], traffic: Traffic, is_expected: Callable[[IptablesRule], bool] = lambda _: False
) -> Verdict:
    """The verdict on `traffic`. A rule that cannot be read may let everything through, and drops nothing."""
    passing = []
    for rule in rules:
        some, every, rest = _met(rule, traffic)
        if not some or rule.target in _SILENT:
            continue
        if rule.target not in _ENDING:
            if not (rule.target in _PASSING and is_expected(rule)):
                passing.append(rule)
            if every and rule.target in _PASSING:
                return Verdict(tuple(passing), dropped=False)
        elif every:
            return Verdict(tuple(passing), dropped=True)
        elif rest is not None:
            traffic = rest
    return Verdict(tuple(passing), dropped=False)


def _rule(line: str, name: str) -> Iterator[tuple[int | None, IptablesRule]]:
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        words = line.split()
    words = [_LONG.get(word, word) for part in words for word in _parted(part)]
    if not words or words[0] == "COMMIT" or words[0].startswith(":"):
        return
    if len(words) > 1 and words[0] in _COMMANDS and (words[1] != name or words[0] == "-N"):
        return
    if len(words) < 2 or words[0] not in ("-A", "-I"):
        # Counters, a flushed chain, a command in another spelling: the chain up to here may no longer exist.
        yield 0, IptablesRule(line, target=_UNREAD, readable=False)
        return
    place, rest = (None, words[2:]) if words[0] == "-A" else (0, words[2:])
    if place is not None and rest and rest[0].isdigit():
        place, rest = int(rest[0]) - 1, rest[1:]
    tests: dict[str, Test] = {}
    target, negated, readable = "", False, True
    given = iter(rest)
    for word in given:
        if word == "!":
            negated = True
            continue
        value = next(given, "")
        if value == "!":
            negated, value = True, next(given, "")
        if not word.startswith("-") or (value.startswith("-") and word not in ("--comment", "--log-prefix")):
            # An option without a value, or two in a row: which word belongs to which is unknown.
            yield place, IptablesRule(line, target=_UNREAD, readable=False)
            return
        # iptables accepts an abbreviated long option.
        if word in ("-j", "-g") or (len(word) > 2 and ("--jump".startswith(word) or "--goto".startswith(word))):
            target = value
        elif word not in _WITHOUT_MEANING:
            readable = readable and word not in tests
            tests[word] = Test(value, negated)
        negated = False
    yield place, IptablesRule(line, tests, target, readable)


def _parted(word: str) -> list[str]:
    """Split `--dport=53` into two words."""
    return word.split("=", 1) if word.startswith("--") and "=" in word else [word]


def _met(rule: IptablesRule, traffic: Traffic) -> tuple[bool, bool, Traffic | None]:
    """Whether some of the traffic matches a rule, whether all of it does, and the rest that does not; None if that is unknown."""
    some, every, rest = True, rule.readable, None
    partly = 0
    for option, test in rule.tests.items():
        match option:
            case "-i" | "-o":
                may, must = _interface(test, traffic.into if option == "-i" else traffic.out)
            case "-s" | "-d":
                axis = traffic.source if option == "-s" else traffic.destination
                inside, outside = _split(test, axis)
                may, must = bool(inside) or outside is None, outside == ()
                if not must and outside is not None and inside:
                    partly += 1
                    rest = replace(traffic, source=outside) if option == "-s" else replace(traffic, destination=outside)
            case "-p":
                may, must = True, not test.negated and test.value in ("all", "0")
            case "--ctstate":
                new = "NEW" in test.value.upper().split(",")
                may = new != test.negated
                must = False
            case _:
                may, must = True, False
        some, every = some and may, every and must
        if not must and option not in ("-s", "-d"):
            partly += 2
    return some, every, rest if partly == 1 and rule.readable else None


def _interface(test: Test, name: str) -> tuple[bool, bool]:
    if test.value == "+":
        meets = True
    elif name == OUTSIDE and not test.value.startswith(_BRIDGES):
        return True, False
    else:
        meets = name.startswith(test.value[:-1]) if test.value.endswith("+") else name == test.value
    return (meets != test.negated,) * 2


def _split(test: Test, axis: Ranges) -> tuple[Ranges, Ranges | None]:
    """The parts of some ranges that match a test and that do not; None where the test cannot be read."""
    asked = _asked(test.value)
    if asked is None:
        return (), None
    inside: list[tuple[int, int]] = []
    outside = list(axis)
    for first, last in asked:
        left: list[tuple[int, int]] = []
        for start, end in outside:
            if last < start or end < first:
                left.append((start, end))
                continue
            inside.append((max(start, first), min(end, last)))
            left += [part for part in ((start, first - 1), (last + 1, end)) if part[0] <= part[1]]
        outside = left
    return (tuple(outside), tuple(inside)) if test.negated else (tuple(inside), tuple(outside))


@cache
def _asked(text: str) -> Ranges | None:
    try:
        return within(*(IPv4Network(part, strict=False) for part in text.split(",")))
    except ValueError:
        return None
