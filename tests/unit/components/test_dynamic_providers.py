"""Dynamic providers: the engine imports each by the module path in the state."""

import ast
import pickle
from importlib import import_module
from pathlib import Path

import pytest

from components import FORMER_PATHS
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


@pytest.mark.parametrize("former", FORMER_PATHS)
def test_a_state_of_before_the_move_finds_its_provider(former: str) -> None:
    """As the engine reads it: pickled by the path of its module."""
    present = FORMER_PATHS[former]
    [provider] = providers(PROJECT / f"{present.replace('.', '/')}.py")
    by_its_former_path = f"c{former}\n{provider}\n.".encode()
    assert pickle.loads(by_its_former_path) is getattr(import_module(present), provider)  # noqa: S301 - written here
