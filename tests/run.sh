#!/usr/bin/env bash
# Every suite in turn, its minutes, and the test runner's own summary last: tests/run.sh [prove]
set -euo pipefail
cd "$(dirname "$0")/.."

main() {
	local total=$SECONDS
	timed "install" make --no-print-directory venv packages .venv/bin/promtool
	timed "lint" make --no-print-directory lint
	timed "toolchain" python3 -m toolchain
	# One run of the runner over all layers, so that its summary counts every test; tests/conftest.py adds the minutes.
	# Two workers: one raises the lab and mostly waits for it, the other has all the rest.
	local suites=(-n 2 -v tests/unit tests/graph tests/policy tests/engine tests/lab)
	if [[ ${1:-} == prove ]]; then suites=(tests/prove); fi
	echo "minutes before the tests: $(minutes $((SECONDS - total)))"
	.venv/bin/python -m pytest --durations=20 "${suites[@]}"
}

timed() {
	local name=$1 start=$SECONDS
	shift
	"$@"
	echo "== $name: $(minutes $((SECONDS - start))) min"
}

minutes() { awk -v s="$1" 'BEGIN {printf "%.1f", s / 60}'; }

main "$@"
