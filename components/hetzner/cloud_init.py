"""cloud-init's configuration for a server's first boot: host key, who may log in, sshd's port. The baseline does all else, over
SSH.

Every process on the server (http://169.254.169.254/hetzner/v1/userdata; DOCKER-USER blocks it for containers) and everybody
with the project's token can read this text, so it has no other secret. The host key is a secret only until the first contact
has identified the machine.
"""

import json
from collections.abc import Sequence

from components.host import sshd
from model.host import SSH_PORT


def user_data(host_key: str, authorized_keys: Sequence[str] = ()) -> str:
    """The text of cloud-init's #cloud-config, in JSON, which is YAML too.

    sshd listens on its final port from the start, so that the cloud's firewall never has to open port 22. The baseline
    overwrites the same two files. Ubuntu starts sshd by its socket, before cloud-init has written where to listen.
    """
    socket = sshd.socket_drop_in([SSH_PORT])
    config = {
        "ssh_deletekeys": True,
        "ssh_genkeytypes": [],
        "ssh_keys": {"ed25519_private": host_key},
        "ssh_authorized_keys": list(authorized_keys),
        "ssh_pwauth": False,
        "write_files": [
            {"path": sshd.DROP_IN, "content": f"Port {SSH_PORT}\n", "permissions": "0600"},
            {"path": socket.path, "content": socket.content, "permissions": "0644"},
        ],
        "runcmd": ["systemctl daemon-reload", "systemctl try-restart ssh.socket", "systemctl try-restart ssh.service"],
    }
    return "#cloud-config\n" + json.dumps(config, indent=1) + "\n"
