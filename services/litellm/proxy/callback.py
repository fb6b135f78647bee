"""What LiteLLM loads (`callbacks` in config.yaml): puts the hook on Python's path and starts the hook."""

import sys
from pathlib import Path

_DIRECTORY = Path(__file__).parent
# The configuration directory, where this package lies under the name that it has in the repository.
sys.path.insert(0, str(_DIRECTORY.parents[2]))

from services.litellm.proxy.hook import start  # noqa: E402 - found only now

instance = start(_DIRECTORY)
