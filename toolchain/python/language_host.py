"""Runs Pulumi programs written in Python, for the engine that starts this file and talks gRPC to it.

It stands in for the official host, which no package registry offers, and is built from the parts that the SDK on PyPI has.
"""

# ruff: noqa: N802 - the methods bear the names of gRPC calls

import json
import os
import runpy
import signal
import sys
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any

from engine_watch import end_with_the_engine  # type: ignore[import-not-found]

# The engine ends its plugins with SIGINT, at any moment: die without a traceback.
signal.signal(signal.SIGINT, signal.SIG_DFL)

try:
    import grpc  # type: ignore[import-untyped]
    from google.protobuf.empty_pb2 import Empty  # type: ignore[import-untyped]
    from pulumi.automation._server import LanguageServer
    from pulumi.errors import RunError
    from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2
except ImportError as error:
    sys.exit(
        f"{sys.executable} cannot import the Pulumi SDK ({error}), so it cannot run the program. "
        "Name a python that has requirements.txt installed, for example: export PULUMI_PYTHON_CMD=$PWD/.venv/bin/python"
    )


def main() -> None:
    end_with_the_engine()
    server = grpc.server(ThreadPoolExecutor(max_workers=8), options=[("grpc.max_receive_message_length", 400 << 20)])
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(LanguageHost(sys.argv[-1]), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    server.wait_for_termination()


class LanguageHost(LanguageServer):
    """The calls that the engine makes to preview and deploy."""

    def __init__(self, engine_address: str) -> None:
        super().__init__(lambda: None)
        self._engine_address = engine_address

    def Handshake(self, request: Any, context: Any) -> Any:
        self._engine_address = request.engine_address
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=metadata.version("pulumi"))

    def GetRequiredPackages(self, request: Any, context: Any) -> Any:
        return language_pb2.GetRequiredPackagesResponse(packages=list(_required_packages()))

    def GetProgramDependencies(self, request: Any, context: Any) -> Any:
        return language_pb2.GetProgramDependenciesResponse(
            dependencies=[
                language_pb2.DependencyInfo(name=package.metadata["Name"], version=package.version)
                for package in metadata.distributions()
            ]
        )

    def Run(self, request: Any, context: Any) -> Any:
        directory = Path(request.info.program_directory or request.pwd)
        os.chdir(directory)
        self.program = lambda: _run_program(directory / request.info.entry_point)
        request.args[:] = [self._engine_address]
        response = super().Run(request, context)  # type: ignore[no-untyped-call]
        # LanguageServer has logged the error to the engine; "bail" says so, else it is printed twice.
        return language_pb2.RunResponse(bail=True) if response.error else response

    def Cancel(self, request: Any, context: Any) -> Any:
        return Empty()


def _run_program(entry: Path) -> None:
    file = entry / "__main__.py" if entry.is_dir() else entry
    if not file.is_file():
        raise RunError(f"The program has no {file}: the engine cannot run it. Name it in Pulumi.yaml, for example: main: .")
    sys.path.insert(0, str(file.parent))
    sys.argv = [str(file)]
    try:
        runpy.run_path(str(file), run_name="__main__")
    except RunError:
        raise
    except SystemExit as stop:
        if stop.code not in (None, 0):
            raise RunError(str(stop.code)) from None
    except BaseException as error:
        raise RunError("The program failed with an unhandled exception:\n" + _program_traceback(error)) from None


def _program_traceback(error: BaseException) -> str:
    """The traceback without the frames of this host and of runpy."""
    trace = error.__traceback__
    while trace and (trace.tb_frame.f_code.co_filename == __file__ or "runpy" in trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace))


def _required_packages() -> Iterator[Any]:
    """The provider plugins of the installed SDKs, which carry a pulumi-plugin.json."""
    for entry in filter(None, sys.path):
        for file in Path(entry).glob("pulumi_*/pulumi-plugin.json"):
            plugin = json.loads(file.read_text())
            if plugin.get("resource"):
                yield plugin_pb2.PackageDependency(name=plugin["name"], kind="resource", version=plugin["version"])


if __name__ == "__main__":
    main()
