"""`python -m operations.new_service NAME`: writes a module for a new service; its author decides what is left open.

Open points are the undefined name `DECIDE`: linter, type checker and program refuse the module until all are decided.
"""

import re
import sys

from model.problem import Problem, Refused, refuse
from operations.stack import PROJECT
from services import catalogue

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def main(name: str) -> int:
    """Write `services/<name>.py` and print the next steps; the exit code."""
    try:
        refuse(problems(name))
    except Refused as refused:
        print(refused, file=sys.stderr)
        return 1
    stem = name.replace("-", "_")
    path = PROJECT / f"services/{stem}.py"
    text = module(name)
    path.write_text(text)
    print(f"{path.relative_to(PROJECT)}: {text.count('DECIDE')} things to decide, each called DECIDE. Then:")
    print(f"  services/catalogue.py  `{stem}` in BY_ROLE, below the role whose host it stands on, and in the imports")
    print("  images.lock.yaml       the image and its digest; `make images` asks the registry")
    print("  make docs lint         the generated pages; what is still open is refused")
    return 0


def problems(name: str) -> list[Problem]:
    """Problems of a service name."""
    example = "make service NAME=paperless"
    if not NAME.fullmatch(name):
        return [
            Problem(
                what=f"{name!r} cannot be the name of a service",
                why="a container, a directory and a file are called after it",
                fix="use small letters and digits, with a hyphen between words",
                example=example,
            )
        ]
    stem = name.replace("-", "_")
    if name in catalogue.names_of_services() or any((PROJECT / "services" / file).exists() for file in (stem, f"{stem}.py")):
        return [
            Problem(
                what=f"services/ has a {name} already",
                why="what stands there would be overwritten",
                fix="give the new one another name",
                example=example,
            )
        ]
    return []


def module(name: str) -> str:
    """The module's text: a service with a database, a secret and a site for members of the VPN."""
    stem = name.replace("-", "_")
    return f'''"""{name}: DECIDE, what it is, in one line."""

from collections.abc import Iterator

from model.backup import Files
from model.credential import Unverifiable
from model.endpoint import Endpoint
from model.route import Access, Route
from model.secret import Generated, Secret
from model.service import Configuration, Database, Healthcheck, Limits, Logs, Metrics, Replacement, Service, Volume
from services.context import Context
from services.networks import BACKEND

KEY = Secret(name="{stem}_key", source=Generated())
DATABASE = Database(name="{stem}", user="{stem}")
ENDPOINT = Endpoint(service="{name}", port=DECIDE, network=BACKEND.name, site="{name}")
DIRECTORY = "/etc/{name}"
_USER = DECIDE  # "20009:20009", say: a user of its own from 20000 on, which no other service has


def services(of: Context) -> Iterator[Service]:
    """The module's only service."""
    yield Service(
        name="{name}",
        image=DECIDE,  # repository and version; its digest goes into images.lock.yaml
        networks=(BACKEND.name,),  # and EGRESS, if it calls the Internet
        limits=Limits(memory_mib=DECIDE, cpus=0.5).scaled(of.scale),
        replacement=Replacement.STOP_FIRST,
        metrics=Metrics(port=DECIDE),  # or NotCollected(reason=...)
        logs=Logs.DECIDE,
        # The image's own, from its Dockerfile: the secrets below go past `docker inspect` in front of it.
        entrypoint=DECIDE,
        command=DECIDE,
        secret_environment={{
            DECIDE: f"{{KEY}}",  # the variables as the program calls them
            DECIDE: f"postgresql://{{DATABASE.user}}:{{DATABASE.password}}@postgresql:5432/{{DATABASE.name}}",
        }},
        configuration=Configuration(directory=DIRECTORY, owner=_USER, files=()),
        volumes=(Volume(path=DECIDE, directory="{name}", owner=_USER, mode=0o700, backup=Files()),),
        secrets=(KEY,),
        credentials=(Unverifiable(secret=KEY, reason=DECIDE),),  # or a Credential with the question that shows what it opens
        routes=(Route(subdomain=ENDPOINT.site, port=ENDPOINT.port, access=Access.VPN),),
        needs=("postgresql",),
        keeps=DATABASE,
        healthcheck=Healthcheck(command=DECIDE, interval=30, timeout=5, retries=3, start_period=60),  # a tool of the image
        user=_USER,
        tmpfs=("/tmp",),
    )
'''


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2] or [""]))
