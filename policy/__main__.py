"""Entry point of the policy pack: Pulumi's engine starts it, and it serves the rules until the run ends."""

import gc
import os
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from types import ModuleType

# The pack needs only the SDK's protocol messages, and pulumi-policy's class for an unknown value. The packages around them import
# everything else of both, and gRPC, which would take 0.2 s of every preview: empty modules with their search paths replace these
# packages.
for _name in ("pulumi", "pulumi.runtime", "pulumi.runtime.proto", "pulumi_policy"):
    _package, _found = ModuleType(_name), find_spec(_name)
    _package.__path__ = list((_found and _found.submodule_search_locations) or ())
    sys.modules[_name] = _package

# The engine starts Python inside this directory; the package `policy` is found from the directory above.
_HERE = Path(__file__).parent
sys.path[:] = [str(_HERE.parent), *(entry for entry in sys.path if Path(entry).resolve() != _HERE.resolve())]

from policy.analyzer import Analyzer  # noqa: E402

# No garbage collection: everything learned is needed until the process ends, within seconds.
gc.disable()
analyzer = Analyzer()
# The rules are needed for the first resource: they are imported while the program starts.
Thread(target=import_module, args=("policy.judge",), daemon=True).start()
if pipes := os.environ.get("PULUMI_POLICY_PIPE"):
    from policy.pipe import answer

    calls, answers = map(int, pipes.split(","))
    with os.fdopen(calls, "rb") as asked, os.fdopen(answers, "wb") as reported:
        answer(asked, reported, analyzer)
else:
    from policy.server import serve

    server, port = serve(analyzer)
    print(port, flush=True)
    server.wait_for_termination()
