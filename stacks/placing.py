"""From settings to a fleet: the hosts of each kind of stack."""

from model.fleet import Fleet
from model.host import Endpoint, Host
from model.image import ImageLock
from model.placement import Placement
from model.problem import Problem, refuse
from model.settings import Settings
from services import catalogue
from services.caddy import Door
from services.networks import NETWORKS


def sese_ai(settings: Settings, lock: ImageLock, authority: str, *, host: str, scale: float = 1.0) -> Fleet:
    """The stack of Sese-AI on `host`, limits scaled by `scale`."""
    if host not in settings.hosts:
        refuse([_no_host(host)])
    where = settings.hosts[host]
    door = Door(vpn=settings.vpn_cidrs, acme_email=settings.acme_email, authority=authority)
    return Fleet(
        project=settings.project,
        domain=settings.domain,
        placements=(
            Placement(
                host=Host(
                    name=host,
                    endpoints=(Endpoint(address=where.address, port=where.port),),
                    user=where.user,
                    memory_mib=where.memory_mib,
                ),
                networks=NETWORKS,
                services=catalogue.services(settings.domain, door, scale),
            ),
        ),
        image_lock=lock,
        further_secrets=catalogue.FURTHER_SECRETS,
    )


def _no_host(host: str) -> Problem:
    return Problem(
        what=f"vpai:hosts says nothing of {host!r}",
        why="the stack places its services there",
        mend=f"pulumi config set --path 'vpai:hosts.{host}.address' ADDRESS and 'vpai:hosts.{host}.memoryMib' MIB",
        example=f"pulumi config set --path 'vpai:hosts.{host}.address' 203.0.113.10",
    )
