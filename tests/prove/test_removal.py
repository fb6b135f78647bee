"""`destroy` leaves the data unless it was said otherwise before."""

import json
import re

from tests.lab.deployment import Deployment

DATA = "/opt/javisi/data"


def test_destroy_leaves_data_a_new_up_finds_it_and_delete_data_removes_it(stack: Deployment) -> None:
    stack.sql("n8n", "DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT 42 AS answer")
    kit = {name: stack.secrets[name] for name in json.loads(stack.pulumi("stack", "output", "irreplaceable", "--json").stdout)}
    reported = stack.pulumi("destroy", "--yes", "--skip-preview").stdout
    assert f"kept {DATA}/postgresql (vpai:deleteData is not set)" in reported
    assert re.search(r"bucket-shared .*\[retain\]", reported), reported
    assert stack.containers() == []
    assert stack.on_host("sh", "-c", f"ls -A {DATA}/postgresql")
    assert "javisi_" not in stack.on_host("docker", "network", "ls")
    assert stack.on_host("ls", "/opt/javisi/config") == "", "configuration holds secrets and goes"

    values = [word for name, value in kit.items() for word in ("--secret", f"vpai:kept.{name}={value}")]
    stack.pulumi("config", "set-all", "--path", *values)
    stack.configure("adoptBuckets", "true")
    stack.configure("deleteData", "true")
    stack.up()
    assert stack.sql("n8n", "SELECT answer FROM kept") == "42", "data may be deleted by a destroy, and by nothing else"

    stack.pulumi("destroy", "--yes", "--skip-preview")
    left = stack.on_host("find", DATA, "-mindepth", "1").split()
    assert sorted(left) == [f"{DATA}/caddy", f"{DATA}/qdrant"], "parents of several directories, empty"
