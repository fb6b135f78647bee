"""`destroy` leaves the data unless it was said otherwise before."""

from tests.lab.deployment import Deployment

DATA = "/opt/javisi/data"


def test_destroy_leaves_data_a_new_up_finds_it_and_delete_data_removes_it(stack: Deployment) -> None:
    stack.sql("n8n", "DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT 42 AS answer")
    told = stack.pulumi("destroy", "--yes", "--skip-preview").stdout
    assert f"kept {DATA}/postgresql (vpai:deleteData is not set)" in told
    assert stack.containers() == []
    assert stack.on_host("sh", "-c", f"ls -A {DATA}/postgresql")
    assert "javisi_" not in stack.on_host("docker", "network", "ls")
    assert stack.on_host("ls", "/opt/javisi/config") == "", "configuration holds secrets and goes"

    stack.up()
    assert stack.sql("n8n", "SELECT answer FROM kept") == "42"

    stack.configure("deleteData", "true")
    stack.up()
    stack.pulumi("destroy", "--yes", "--skip-preview")
    assert stack.on_host("ls", "-A", DATA) == "caddy", "the parent of caddy's directory, empty"
    assert stack.on_host("ls", "-A", f"{DATA}/caddy") == ""
