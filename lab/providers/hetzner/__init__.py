"""Stands in for Hetzner's Cloud API (api.hetzner.cloud/v1): a project's servers, keys, firewalls, addresses, networks,
placement groups and volumes, kept in memory, checked as the real API checks them and refused in its own words and codes.

hcloud-python, hcloud-go and so Terraform's and Pulumi's provider run against it unmodified. What differs from the real one:

- Every token of 64 characters is a project of its own. In the lab a server is a host of the lab (machines.py); in a test
  nothing boots. Either way it is `running` as soon as its action has ended.
- Its IPv4 address is real in the lab; the IPv6 network that the API shows is not, and firewalls and private networks are only
  written down: what lets packets through is the host's own firewall.
- Ids, addresses and the short catalogue of types, images and locations are the lab's. Prices are those of catalogue.py, null
  where nobody could look them up.
- What is accepted, and in which words the rest is refused, with sources: contracts/api.hetzner.cloud.json. A field inside of
  another that the API does not know is refused too; texts of refusals that the contract does not have are the lab's.
- No load balancers, floating IPs, certificates, DNS zones, ISOs, snapshots, storage boxes, metrics and rescue systems.
- The state lives as long as the process, and so do its servers.

Tests and rehearsals steer it: `Cloud.faults` lets requests fail, `Cloud.sold_out` takes a type out of a location, and
`Cloud.failing_actions` lets the actions of a command end in an error.
"""

import json

from lab.providers.hetzner.cloud import Cloud, Fault
from lab.providers.hetzner.machines import SETTINGS, LabMachines
from lab.providers.hetzner.refusal import HOST

__all__ = ["HOST", "Cloud", "Fault", "lab_cloud"]


def lab_cloud() -> Cloud:
    """The cloud of the lab, which boots servers where it is told how."""
    if not SETTINGS.exists():
        return Cloud(action_seconds=0.5)
    return Cloud(json.loads(SETTINGS.read_text())["addresses"], 0.5, LabMachines.of_settings())
