#!/usr/bin/env bash
# uv.lock from pyproject.toml, and requirements.txt from uv.lock. --check: only says whether both are, with nothing asked of the network.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=$PWD/.venv/bin:$PATH
# The lock names PyPI, whatever mirror this machine asks.
unset UV_DEFAULT_INDEX UV_INDEX_URL UV_INDEX
write=(uv export --frozen --quiet --no-header --no-annotate)
if [[ ${1:-} == --check ]]; then
	uv lock --quiet --check --offline && "${write[@]}" | diff -q - requirements.txt >&2 && exit
	echo "uv.lock or requirements.txt is not what pyproject.toml says: make requirements" >&2
	exit 1
fi
uv lock --quiet
"${write[@]}" --output-file requirements.txt
