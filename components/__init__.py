"""Pulumi components, which make the resources. They know nothing of VPAI."""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

FORMER_PATHS = {
    "components.bucket": "components.storage.bucket",
    "components.configuration_directory": "components.docker.configuration_directory",
    "components.host_access": "components.host.host_access",
    "components.mesh_member": "components.mesh.mesh_member",
}
"""Modules of dynamic providers by the path that states from before 30 November 2026 name: the engine imports a provider by it."""


class _FormerPath(ModuleType):
    """A module that stands elsewhere now; imported when its first name is asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(import_module(FORMER_PATHS[self.__name__]), name)


sys.modules.update({path: _FormerPath(path) for path in FORMER_PATHS})
