"""Caddy under load while what is behind it, or what it is told, changes. Writes docs/proofs/door.md."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lab.deployment import Deployment
from tests.prove import proof

RATE, CONNECTIONS = 100, 20
Results = list[tuple[str, str, str, str]]

_LOAD = """
import collections, http.client, json, pathlib, sys, threading, time
job = json.load(sys.stdin)
stop, told, lock = threading.Event(), collections.Counter(), threading.Lock()
slowest, again = 0.0, 0

def work(number):
    global slowest, again
    connection = http.client.HTTPSConnection("llm.vpai.test", timeout=30)
    pause = job["connections"] / job["rate"]
    begin, asked = time.monotonic() + number / job["rate"], 0
    while not stop.is_set():
        time.sleep(max(0.0, begin + asked * pause - time.monotonic()))
        asked += 1
        start = time.monotonic()
        # Every second request over a connection of its own: a listener that closes for a moment fails those.
        if asked % 2:
            connection.close()
        for attempt in range(2):
            kept = connection.sock is not None
            try:
                connection.request("GET", "/v1/models", headers={"Authorization": job["key"]})
                answer = connection.getresponse()
                answer.read()
                status = str(answer.status)
                break
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                status = type(error).__name__
                # A server may close an idle connection at any time; every HTTP client asks again then (RFC 9112, 9.3.1).
                if not (kept and isinstance(error, (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError))):
                    break
                with lock:
                    again += 1
        with lock:
            told[status] += 1
            slowest = max(slowest, time.monotonic() - start)

threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(job["connections"])]
for thread in threads:
    thread.start()
while not pathlib.Path("/tmp/stop-load").exists():
    time.sleep(0.1)
stop.set()
for thread in threads:
    thread.join(40)
pathlib.Path("/tmp/stop-load").unlink()
print(json.dumps([told, slowest, again]))
"""


@pytest.fixture(scope="module")
def results() -> Iterator[Results]:
    rows: Results = []
    yield rows
    how = (
        f"A member asks LiteLLM for its models through Caddy, {RATE} times a second over {CONNECTIONS} connections, every second "
        "request over a new one, from before the `up` until after it. Asked again: an idle connection was closed "
        "under the client, which asked once more over a new one, as every HTTP client does."
    )
    proof.write("door", "Changes under load", how, ("what", "answers", "asked again", "longest"), rows)


def test_a_route_is_added_and_no_request_fails(stack: Deployment, results: Results) -> None:
    stack.edit(
        "services/qdrant.py",
        ("routes=(Route(", 'routes=(Route(subdomain="qd2", port=PORT, access=Access.VPN), Route('),
    )
    reported = _under_load(stack, stack.up, results, "a route is added")
    assert set(reported) == {"200"}


def test_a_stateless_service_is_replaced(stack: Deployment, results: Results) -> None:
    stack.edit("services/litellm/__init__.py", ("litellm:v1.81.3-stable", "litellm:v1.81.3-next"))
    reported = _under_load(stack, stack.up, results, "LiteLLM is replaced")
    assert set(reported) == {"200"}


def _under_load(stack: Deployment, change: Callable[[], object], results: Results, what: str) -> Counter[str]:
    operator = stack.lab.operator
    operator.run(["rm", "-f", "/tmp/stop-load"])
    job = {"connections": CONNECTIONS, "rate": RATE, "key": f"Bearer {stack.secrets['litellm_master_key']}"}
    with ThreadPoolExecutor(1) as pool:
        load = pool.submit(lambda: operator.run(["python3", "-c", _LOAD], input=json.dumps(job), timeout=600).stdout)
        try:
            time.sleep(5)
            change()
            time.sleep(5)
        finally:
            operator.run(["touch", "/tmp/stop-load"])
        reported, slowest, again = json.loads(load.result().splitlines()[-1])
    answers = ", ".join(f"{count} x {status}" for status, count in Counter(reported).most_common())
    results.append((what, answers, f"{again}", f"{slowest:.2f} s"))
    print(*results[-1])
    return Counter(reported)
