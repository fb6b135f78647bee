"""Checks every credential of the catalogue on the running stack: the right value is accepted, a wrong one and none refused."""

import base64
import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from components.docker.docker_host import LABEL_SERVICE
from components.ssh.host_script import SshHost
from model.credential import Basic, Credential, Header, Login, PostgresLogin, RedisLogin, Request, StoredSecret
from model.placement import Placement
from model.route import Upstream, covers
from model.service import Service
from operations.stack import CommandFailed, Stack, on_host
from operations.web import fetch

IN, OUT = "let in", "refused"


@dataclass(frozen=True)
class Answer:
    """The results for the right credential, for a wrong one, and for none."""

    host: str
    service: str
    secret: str
    right: str
    wrong: str
    none: str

    @property
    def ok(self) -> bool:
        """Whether all results are right. A credential that is not set has no right value to try."""
        return self.right in (IN, "not set") and self.wrong == self.none == OUT


def authentication(stack: Stack) -> tuple[Answer, ...]:
    """One answer for each credential of each placed service."""
    logins = [
        _Login(stack, host, placement, service, credential)
        for host, placement in zip(stack.hosts, stack.placements, strict=True)
        for service in placement.services
        for credential in service.credentials
        if isinstance(credential, Credential)
    ]
    with ThreadPoolExecutor(max_workers=4) as pool:
        return tuple(pool.map(_Login.answer, logins))


@dataclass(frozen=True)
class _Login:
    stack: Stack
    host: SshHost
    placement: Placement
    service: Service
    credential: Credential

    def answer(self) -> Answer:
        value = self._value()
        # One character differs: a service that compares only part of the value is found out.
        wrong = value[:-1] + ("0" if value[-1:] != "0" else "1")
        found = [self._ask(value) if value else "not set", self._ask(wrong), self._ask("")]
        return Answer(self.host.alias, self.service.name, self.credential.secret.name, *found)

    def _value(self) -> str:
        name = self.credential.secret.name
        return str(self.stack.secrets.get(name, "")) or self.stack.inputs.external.get(name, "")

    def _ask(self, presented: str) -> str:
        try:
            match self.credential.proof:
                case Request() as request:
                    return self._request(request, presented)
                case PostgresLogin() as login:
                    return self._postgres(login, presented)
                case RedisLogin() as login:
                    return self._redis(login, presented)
                case StoredSecret() as held:
                    return self._held(held, presented)
        except (CommandFailed, OSError) as error:
            return str(error).strip().splitlines()[-1]

    def _request(self, request: Request, presented: str) -> str:
        headers, body = _shown(request, presented)
        host = next(
            (
                site.host
                for site in self.placement.sites()
                for led in site.routes
                if led.upstream == Upstream(name=self.service.name, port=request.port)
                and any(covers(path, request.path.partition("?")[0]) for path in led.route.paths)
            ),
            None,
        )
        if host:
            url = f"https://{host}{request.path}"
            status, _ = fetch(self.stack, url, method=request.method, headers=headers, body=body)
        else:
            status = self._from_beside(request, headers, body or b"")
        return IN if status in request.accepted else OUT if status in request.refused else f"answered {status}"

    def _from_beside(self, request: Request, headers: Mapping[str, str], body: bytes) -> int:
        """For a service without a route: ask on its own network, from a container that has bash."""
        lines = [f"{request.method} {request.path} HTTP/1.0", f"Host: {self.service.name}", f"Content-Length: {len(body)}"]
        text = "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers.items()), "", body.decode()])
        network = f"{self.stack.inputs.fleet.project}_{self.service.networks[0]}"
        lender = next(service for service in self.placement.services if service.lends_bash)
        run = ["docker", "run", "--rm", "-i", "--network", network, "--entrypoint", "bash", "--user", "65534"]
        script = f"exec 3<>/dev/tcp/{self.service.name}/{request.port}; cat >&3; head -n 1 <&3"
        answer = on_host(self.host, [*run, self._container(lender.name)["Image"], "-c", script], text)
        return int(answer.split()[1])

    def _postgres(self, login: PostgresLogin, presented: str) -> str:
        query = f'psql -w -X -At -h {self.service.name} -U {login.user} -d {login.database} -c "select current_user"'
        said = self._inside(["sh", "-c", f'PGPASSWORD="$(cat)" {query} 2>&1 || true'], presented)
        refused = "password authentication failed" in said or "no password supplied" in said
        return IN if said == login.user else OUT if refused else said

    def _redis(self, login: RedisLogin, presented: str) -> str:
        said = self._inside(
            ["sh", "-c", f'REDISCLI_AUTH="$(cat)" redis-cli -h 127.0.0.1 --user {login.user} ping 2>&1'], presented
        )
        refused = "WRONGPASS" in said or "NOAUTH" in said
        return OUT if refused else IN if said == "PONG" else said

    def _held(self, held: StoredSecret, presented: str) -> str:
        """Compare by hash: the value never leaves the container."""
        configuration = self.service.configuration.directory if self.service.configuration else ""
        found = self._inside(["sh", "-c", own_hash(held, configuration)], "")
        return IN if found == hashlib.sha256(presented.encode()).hexdigest() else OUT

    def _inside(self, command: list[str], stdin: str) -> str:
        return on_host(self.host, ["docker", "exec", "-i", self._container(self.service.name)["Id"], *command], stdin).strip()

    def _container(self, service: str) -> Mapping[str, Any]:
        containers = self.stack.containers(self.host)
        return next(container for container in containers if container["Config"]["Labels"][LABEL_SERVICE] == service)


def own_hash(held: StoredSecret, configuration: str, environ: str = "/proc/1/environ") -> str:
    """A script that prints the SHA-256 of the value that the service holds; `configuration` is its directory of files.

    A program that sets its title for `ps` overwrites its environment (Ruby's setproctitle, which Puma calls). Then the script
    reads the file from which the entrypoint, the same process, read the value.
    """
    if held.file:
        return f"printf %s \"$(cat {held.file})\" | sha256sum | cut -d' ' -f1"
    name, file = held.variable, f"{configuration}/environment"
    return f"""value=$(tr '\\0' '\\n' <{environ} | sed -n 's/^{name}=//p')
if [ -z "$value" ] && [ -r {file} ]; then {name}=; . {file}; value=${name}; fi
printf %s "$value" | sha256sum | cut -d' ' -f1"""


def _shown(request: Request, presented: str) -> tuple[dict[str, str], bytes | None]:
    """Headers and body of `request` with the credential filled in, or with an empty value."""
    body = json.dumps(request.body).encode() if request.body else None
    headers = {"Content-Type": "application/json"} if body else {}
    match request.place:
        case Header(name=name, scheme=scheme):
            return headers | ({name: f"{scheme} {presented}".strip()} if presented else {}), body
        case Basic(user=user):
            login = base64.b64encode(f"{user}:{presented}".encode()).decode()
            return headers | ({"Authorization": f"Basic {login}"} if presented else {}), body
        case Login(others=others, password=password, json=as_json):
            fields = {**others, **({password: presented} if presented else {})}
            if as_json:
                return {"Content-Type": "application/json"}, json.dumps(fields).encode()
            return {"Content-Type": "application/x-www-form-urlencoded"}, urlencode(fields).encode()
