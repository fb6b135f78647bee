"""The lab's S3 as local processes: versitygw, which enforces policies, behind a server that stores lifecycle rules."""

import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.storage.object_storage import client
from lab.providers.lifecycle import Gateway
from lab.storage import REGION, Account, accounts
from tests.support.ports import free_port

PRINCIPAL = "{key}"
"""Form of a key's principal in a policy of versitygw."""


@dataclass(frozen=True)
class ObjectStorage:
    """A running object storage."""

    endpoint: str
    region: str = REGION

    def as_account(self, who: Account) -> Any:
        """A client with the account's keys."""
        return client(self.endpoint, self.region, who.access_key, who.secret_key)


@contextmanager
def running(directory: Path, toolchain: Path) -> Iterator[ObjectStorage]:
    """Run an empty object storage with its data below `directory`."""
    paths = {name: directory / name for name in ("iam", "objects", "versions", "attributes", "rules")}
    for path in paths.values():
        path.mkdir(parents=True)
    (paths["iam"] / "users.json").write_text(accounts())
    port = free_port()
    command: list[str | Path] = [
        *(toolchain / "bin/versitygw", "--port", f"127.0.0.1:{port}", "--region", REGION, "--iam-dir", paths["iam"]),
        *("--iam-cache-disable", "posix", "--versioning-dir", paths["versions"], "--sidecar", paths["attributes"]),
        paths["objects"],
    ]
    environment = {**os.environ, "ROOT_ACCESS_KEY": "root", "ROOT_SECRET_KEY": "nobody-logs-in-as-root"}
    with (directory / "log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    gateway = Gateway(("127.0.0.1", 0), ("127.0.0.1", port), paths["rules"])
    threading.Thread(target=gateway.serve_forever, daemon=True).start()
    try:
        _wait_for(port, process)
        yield ObjectStorage(f"http://127.0.0.1:{gateway.server_address[1]}")
    finally:
        gateway.shutdown()
        gateway.server_close()
        process.terminate()
        process.wait(10)


def _wait_for(port: int, process: subprocess.Popen[bytes], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as attempt:
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("versitygw does not listen")
