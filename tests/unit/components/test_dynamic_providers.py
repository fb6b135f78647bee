"""Dynamic providers: the engine imports each by the module path in the state."""

import ast
from pathlib import Path

from tests.support.fleets import PROJECT

MODULES = {
    "components/docker/configuration_directory.py": "HostFilesProvider",
    "components/hetzner/host_key.py": "HostKeyProvider",
    "components/hetzner/server_contact.py": "ServerContactProvider",
    "components/host/host_access.py": "HostAccessProvider",
    "components/mesh/mesh_member.py": "MeshMemberProvider",
    "components/storage/bucket.py": "BucketProvider",
}
"""As states name them. A module that moves can no longer delete what its former path made."""


def providers(file: Path) -> list[str]:
    """The names of the dynamic providers that a module defines."""
    classes = (node for node in ast.parse(file.read_text()).body if isinstance(node, ast.ClassDef))
    return [node.name for node in classes if "ResourceProvider" in map(ast.unparse, node.bases)]


def test_every_dynamic_provider_stands_where_a_state_looks_for_it() -> None:
    found = {str(file.relative_to(PROJECT)): providers(file) for file in (PROJECT / "components").rglob("*.py")}
    assert {file: names for file, names in found.items() if names} == {file: [name] for file, name in MODULES.items()}
