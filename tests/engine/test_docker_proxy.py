"""docker-proxy's own tests: real requests to a fake Docker socket (images/docker-proxy/proxy_test.go)."""

import os
import subprocess

from tests.fleets import PROJECT


def test_the_proxy_passes_its_own_tests() -> None:
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    done = subprocess.run(
        ["go", "test", "./..."], cwd=PROJECT / "images/docker-proxy", env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
