"""What a server is told for its first boot: who it is, by its host key. All else the baseline does, over SSH.

Everything here can be read by every process on the server (http://169.254.169.254/hetzner/v1/userdata; containers are kept
from it by DOCKER-USER) and by whoever has the project's token: so there is no secret of ours in it. The host key is one only
until the first contact has proven the machine.
"""

import json


def user_data(host_key: str) -> str:
    """The text of cloud-init's #cloud-config, in JSON, which is YAML too."""
    config = {
        "ssh_deletekeys": True,
        "ssh_genkeytypes": [],
        "ssh_keys": {"ed25519_private": host_key},
        "ssh_pwauth": False,
    }
    return "#cloud-config\n" + json.dumps(config, indent=1) + "\n"
