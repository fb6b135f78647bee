"""Shared state of the questions: the dialogue, the configuration file, the machines' facts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from model.fleet import Fleet
from model.host import Host
from model.kind import Kind
from model.settings import Settings
from operations.init.configuration_file import ConfigurationFile
from operations.init.dialogue import Dialogue, Wrong
from operations.init.machine import Facts
from operations.init.outside_checks import Outside
from operations.mesh import dns
from operations.stack import PROJECT, CommandFailed
from stacks import inputs

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Session:
    """One run of `make init`."""

    stack: str
    dialogue: Dialogue
    outside: Outside
    written: ConfigurationFile
    facts: dict[str, Facts] = field(default_factory=dict)
    """Facts from this run, by host."""

    @property
    def kind(self) -> str:
        return str(self.written.values.get("kind", ""))

    @property
    def is_copy(self) -> bool:
        return self.kind == Kind.COPY

    @property
    def known_hosts(self) -> Path:
        return PROJECT / str(self.written.values["knownHosts"])

    @property
    def pinned(self) -> frozenset[str]:
        """Hosts whose key is pinned."""
        return inputs.pinned(self.known_hosts)

    def checked(
        self, question: str, read: Callable[[str], T], check: Callable[[T], None], *, example: str = "", enter: str | None = None
    ) -> T:
        """An answer of the right form that also passes `check`, or that the operator keeps anyway."""
        while True:
            answer = self.dialogue.ask(question, read, example=example, enter=enter)
            if self.holds(check, answer):
                return answer

    def holds(self, check: Callable[[T], None], answer: T) -> bool:
        """Whether `check` raises no `Wrong`, or the operator keeps the answer anyway."""
        try:
            check(answer)
        except Wrong as wrong:
            self.dialogue.report(str(wrong), indent="  ! ")
            return self.dialogue.yes("keep it all the same", enter="no")
        return True

    def resolvers(self) -> dns.Ask:
        """The resolvers of the settings."""
        named = self.written.values.get("nameservers")
        default = Settings.model_fields["nameservers"].default
        return self.outside.resolvers([str(address) for address in (named if isinstance(named, list) else default)])

    def unchecked(self, what: str, error: CommandFailed) -> None:
        self.dialogue.report(f"Not checked: {what}. {str(error).splitlines()[0]}", indent="  ")

    def placed(self, memory_mib: int = 0, free: Mapping[str, int] | None = None, **changes: object) -> Fleet:
        """The fleet of the written settings with `changes`; its hosts have this memory, or what is `free`.

        Raises `Refused` with every broken law.
        """
        settings = inputs.parsed(self.stack, self.written.settings)

        def memory(name: str, of_host: int) -> int:
            # The host's own programs already use some of it, and the law also reserves memory for them.
            return memory_mib or min(of_host, (free or {}).get(name, of_host) + Host.reserve_mib)

        hosts = {
            name: host if host.server else host.model_copy(update={"memory_mib": memory(name, host.memory_mib)})
            for name, host in settings.hosts.items()
        }
        return inputs.placed(self.stack, settings.model_copy(update={"hosts": hosts, **changes}), PROJECT)
