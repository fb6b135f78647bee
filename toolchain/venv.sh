#!/usr/bin/env bash
# .venv with what requirements.txt pins, by uv: the installed one, else the pinned one, which pip brings. With a word, what the
# lock pins for that group besides (pyproject.toml).
set -euo pipefail
cd "$(dirname "$0")/.."
python3 -m venv .venv
export PATH=$PWD/.venv/bin:$PATH
command -v uv >/dev/null || pip install --quiet --disable-pip-version-check --require-hashes --requirement toolchain/uv.txt
# Where pip was told to look, uv does not ask.
if index=${PIP_INDEX_URL:-$(pip config get global.index-url 2>/dev/null)}; then
	export UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-$index}
fi
pinned() { if [[ $# -gt 0 ]]; then uv export --frozen --quiet --no-header --no-annotate --only-group "$1"; else cat requirements.txt; fi; }
pinned "$@" | uv pip install --quiet --no-config --python .venv/bin/python --require-hashes --requirement -
