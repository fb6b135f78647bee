"""What the engine starts: serves the rules until the run ends."""

import gc
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

# Of the SDK the pack needs the protocol's messages, and of pulumi-policy what stands for an unknown value. The packages
# around them import the rest of both, which would take 0.2 s of every preview: here they are only where to look.
for _name in ("pulumi", "pulumi.runtime", "pulumi_policy"):
    _package, _found = ModuleType(_name), find_spec(_name)
    _package.__path__ = list((_found and _found.submodule_search_locations) or ())
    sys.modules[_name] = _package

# The engine starts Python inside this directory; its modules are the package `policy` of the directory above.
_HERE = Path(__file__).parent
sys.path[:] = [str(_HERE.parent), *(entry for entry in sys.path if Path(entry).resolve() != _HERE.resolve())]

from policy.server import serve  # noqa: E402

# What it has learned is needed to the end, which comes within seconds.
gc.disable()
server, port = serve()
print(port, flush=True)
server.wait_for_termination()
