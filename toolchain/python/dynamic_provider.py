"""Serves dynamic resources: the SDK's own provider, with the project's modules in reach."""

import runpy
import signal
import sys
from pathlib import Path

from engine_watch import end_with_the_engine  # type: ignore[import-not-found]

signal.signal(signal.SIGINT, signal.SIG_DFL)
end_with_the_engine()
sys.path[0] = str(Path.cwd())
runpy.run_module("pulumi.dynamic", run_name="__main__", alter_sys=True)
