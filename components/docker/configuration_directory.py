"""Configuration files of a service on its host, one directory per version, as resources with a readable difference.

The resources are dynamic because no provider has them: `pulumi preview --diff` shows changed lines, `refresh` sees files
that somebody edited on the host. The module's path is part of the state (the engine imports the provider by name):
moving the module breaks `destroy`.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

from components import archive
from components.difference import difference
from components.ssh.host_script import SshHost

Files = Mapping[str, Mapping[str, Any]]
"""Path -> {"content": text, "mode": octal digits}."""

_SECONDS = 60


def version(files: Files, secret_files: Files, owner: str, key: str) -> str:
    """The name of a version: HMAC-SHA256 of its files and owner. The key keeps the name from revealing the secrets inside."""
    canonical = json.dumps({"files": {**files, **secret_files}, "owner": owner}, sort_keys=True)
    return hmac.new(key.encode(), canonical.encode(), hashlib.sha256).hexdigest()


class HostFilesProvider(ResourceProvider):
    """Puts files on a host, reads them back, removes them."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        _apply(props)
        return CreateResult(id_=props["directory"], outs=props)

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        keys = [key for key in _news if key != "__provider"]
        return difference(_olds, _news, keys, replaces=("alias", "directory"), delete_first=True)

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        _apply(_news)
        return UpdateResult(outs=_news)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        _run(_props, ["remove", _props["directory"]])

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        answer = _run(props, ["read", props["directory"], props["version"]])
        if answer.strip() == "absent":
            return ReadResult(None, {})
        sums = {path: digest for digest, path in (line.split("  ", 1) for line in answer.splitlines())}
        return ReadResult(id_, {**props, **{kind: _as_found(props[kind], sums) for kind in ("files", "secret_files")}})


class ConfigurationDirectory(Resource, module="configuration", name="ConfigurationDirectory"):
    """The files of one service, owned by `owner`, in `<directory>/<version>` on `host`.

    The content of `secret_files` is hidden in differences.
    With `reload` (a command), `<directory>/current` points to the version in force, and the command runs in the
    container that has the label `service`. If the reload is refused, the old version stays in force and the update fails.
    """

    directory: pulumi.Output[str]
    version: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        host: SshHost,
        directory: str,
        files: pulumi.Input[Files],
        secret_files: pulumi.Input[Files],
        owner: str,
        version: pulumi.Input[str],
        service: str,
        reload: Sequence[str],
        properties: Mapping[str, pulumi.Input[Any]] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            HostFilesProvider(),
            name,
            {
                "alias": host.alias,
                "config": host.config,
                "directory": directory,
                "files": files,
                "secret_files": secret_files,
                "owner": owner,
                "version": version,
                "service": service,
                "reload": list(reload),
                **(properties or {}),
            },
            opts,
        )


class CaddyConfiguration(ConfigurationDirectory, module="configuration", name="CaddyConfiguration"):
    """Caddy's files, and the sites they describe as values: {host name and paths: "access -> upstream:port (reason)"}."""

    sites: pulumi.Output[Mapping[str, str]]

    def __init__(self, name: str, *, sites: Mapping[str, str], **arguments: Any) -> None:
        super().__init__(name, properties={"sites": dict(sites)}, **arguments)


def _apply(props: Mapping[str, Any]) -> None:
    reload = [props["service"], *props["reload"]] if props["reload"] else []
    payload = archive.packed({**props["files"], **props["secret_files"]}, props["owner"])
    _run(props, ["apply", props["directory"], props["version"], *reload], payload)


def _as_found(files: Files, sums: Mapping[str, str]) -> Files:
    """`files`, where a file with another checksum on the host shows that instead of its content."""
    return {
        path: file
        if sums.get(path) == hashlib.sha256(file["content"].encode()).hexdigest()
        else {**file, "content": "changed on the host"}
        for path, file in files.items()
    }


def _run(props: Mapping[str, Any], arguments: Sequence[str], payload: str = "") -> str:
    host = SshHost(alias=props["alias"], config=props["config"])
    script = "configuration.sh"
    done = host.run(script, arguments, payload, seconds=_SECONDS)
    if done.returncode:
        raise RuntimeError(f"{host.alias}: {script} {arguments[0]} {arguments[1]} failed:\n{done.stderr.strip()}")
    return done.stdout
