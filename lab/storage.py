"""Accounts of the lab's object storage (versitygw). Their keys are not secret; Pulumi.lab.yaml has the same ones."""

import json
from dataclasses import dataclass

HOST = "fsn1.your-objectstorage.com"
"""Hetzner Object Storage's host name in Falkenstein; the lab's DNS resolves it to versitygw."""
REGION = "fsn1"


@dataclass(frozen=True)
class Account:
    """A pair of keys. With `owns` it may create buckets; without, it reaches what a policy grants."""

    access_key: str
    secret_key: str
    owns: bool = False


ADMIN = Account("LABKEEPER0000000000A", "lab-secret-of-the-keeper-000000000000000", owns=True)
SHARED = Account("LABSHARED0000000000A", "lab-secret-of-the-shared-bucket-00000000")
BACKUPS = Account("LABBACKUPS000000000A", "lab-secret-of-the-backups-bucket-0000000")
SESE = Account("LABBACKUPSSESE00000A", "lab-secret-of-the-backups-of-sese-0000000")
SEKO = Account("LABBACKUPSSEKO00000A", "lab-secret-of-the-backups-of-seko-0000000")
STRANGER = Account("LABSTRANGER00000000A", "lab-secret-of-another-customer-000000000", owns=True)
"""Another customer's account."""


def accounts(*who: Account) -> str:
    """The content of versitygw's users.json."""
    return json.dumps(
        {
            "accessAccounts": {
                account.access_key: {
                    "access": account.access_key,
                    "secret": account.secret_key,
                    "role": "userplus" if account.owns else "user",
                    "userID": 0,
                    "groupID": 0,
                    "projectID": 0,
                }
                for account in who or (ADMIN, SHARED, BACKUPS, SESE, SEKO, STRANGER)
            }
        }
    )
