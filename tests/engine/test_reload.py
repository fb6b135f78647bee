"""Caddy reloads while clients connect, in a network namespace with its container's kernel parameters."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support import own_network
from tests.support.fleets import stack_services

RELOADS = 2000
CLIENTS = 8
ENOUGH = 20
"""Reset connections. The kernel still resets a few, when a client connects as the listener closes; tests must allow them."""

_RELOADED = """
import json, subprocess, sys, threading, urllib.request, socket, time
caddy, directory = sys.argv[1:3]
reloads, clients, enough = map(int, sys.argv[3:])
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
for name, value in json.load(sys.stdin).items():
    with open("/proc/sys/" + name.replace(".", "/"), "w") as parameter:
        parameter.write(value)

def configuration(number):
    answer = {"handler": "static_response", "body": str(number)}
    servers = {"one": {"listen": [":8080"], "routes": [{"handle": [answer]}], "automatic_https": {"disable": True}}}
    return json.dumps({"admin": {"listen": "127.0.0.1:2019"}, "apps": {"http": {"servers": servers}}})

with open(directory + "/caddy.json", "w") as file:
    file.write(configuration(0))
run = subprocess.Popen([caddy, "run", "--config", file.name], env={"HOME": directory}, stderr=subprocess.DEVNULL)
answered, reset, ended = [], [], threading.Event()

def client():
    while not ended.is_set():
        try:
            with socket.create_connection(("127.0.0.1", 8080), timeout=20) as asked:
                asked.sendall(b"GET / HTTP/1.1\\r\\nHost: one\\r\\nConnection: close\\r\\n\\r\\n")
                (answered if asked.recv(4096) else []).append(1)
        except ConnectionResetError:
            reset.append(1)

for _ in range(200):
    try:
        socket.create_connection(("127.0.0.1", 8080)).close()
        break
    except OSError:
        time.sleep(0.1)
asking = [threading.Thread(target=client) for _ in range(clients)]
for each in asking:
    each.start()
done = 0
while done < reloads and len(reset) < enough:
    done += 1
    head = {"Content-Type": "application/json"}
    urllib.request.urlopen(urllib.request.Request("http://127.0.0.1:2019/load", configuration(done).encode(), head)).read()
ended.set()
for each in asking:
    each.join()
run.terminate()
run.wait()
print(json.dumps({"reloads": done, "answered": len(answered), "reset": len(reset)}))
"""


def reloaded(toolchain: Path, directory: Path, parameters: Mapping[str, str], reloads: int = RELOADS) -> tuple[int, int]:
    """Number of reloads and of reset client connections; stops after `ENOUGH` resets."""
    numbers = map(str, (reloads, CLIENTS, ENOUGH))
    words = [sys.executable, "-c", _RELOADED, str(toolchain / "bin/caddy"), str(directory), *numbers]
    found = json.loads(own_network.printed(*words, given=json.dumps(parameters)))
    assert found["answered"] > found["reloads"], found
    return found["reloads"], found["reset"]


def test_a_reload_resets_hardly_a_connection_that_waits_where_it_would_reset_many(toolchain: Path, tmp_path: Path) -> None:
    [parameters] = (service.sysctls for service in stack_services() if service.name == "caddy")
    reloads, reset = reloaded(toolchain, tmp_path, {})
    assert reset >= ENOUGH, "the kernel's own values reset them: or this test could not fail"
    assert reloaded(toolchain, tmp_path, parameters, reloads)[1] <= ENOUGH / 5
