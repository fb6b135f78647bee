"""What the engine starts: serves the rules until the run ends."""

import sys
from pathlib import Path

# The engine starts Python inside this directory; its modules are the package `policy` of the directory above.
_HERE = Path(__file__).parent
sys.path[:] = [str(_HERE.parent), *(entry for entry in sys.path if Path(entry).resolve() != _HERE.resolve())]

from policy.server import serve  # noqa: E402

server, port = serve()
print(port, flush=True)
server.wait_for_termination()
