#!/usr/bin/env bash
# Every suite in turn, its minutes, and the test runner's own summary last: tests/run.sh [prove|lab]
set -euo pipefail
cd "$(dirname "$0")/.."

main() {
	local total=$SECONDS wanted=${1:-all}
	timed "install" make --no-print-directory venv packages .venv/bin/promtool .venv/bin/mkdocs
	timed "lint" make --no-print-directory lint
	timed "toolchain" python3 -m toolchain
	local suites content
	content=$(.venv/bin/python -m tests.lab_itself.content key)
	case $wanted in
	all)
		# One run of the runner over all layers, so that its summary counts every test; tests/conftest.py adds the minutes.
		# Two workers: one raises the lab and mostly waits for it, the other has all the rest.
		timed "Chromium" make --no-print-directory chromium
		suites=(-n 2 -v --timing benchmarks/tests.json tests/lab)
		if .venv/bin/python -m tests.lab_itself.content needed "$content"; then suites+=(tests/lab_itself); fi
		suites+=(tests/unit tests/graph tests/policy tests/engine)
		;;
	lab) suites=(-v tests/lab_itself) ;;
	prove)
		timed "Chromium and act" make --no-print-directory chromium .venv/bin/act
		suites=(tests/prove)
		;;
	*)
		echo "usage: tests/run.sh [prove|lab]" >&2
		exit 2
		;;
	esac
	echo "minutes before the tests: $(minutes $((SECONDS - total)))"
	# A test that calls make is no part of this one's.
	env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u STACK -u BASE -u REMOTE -u SNAPSHOT .venv/bin/python -m pytest "${suites[@]}"
	if [[ " ${suites[*]} " == *" tests/lab_itself "* ]]; then .venv/bin/python -m tests.lab_itself.content passed "$content"; fi
}

timed() {
	local name=$1 start=$SECONDS
	shift
	"$@"
	echo "== $name: $(minutes $((SECONDS - start))) min"
}

minutes() { awk -v s="$1" 'BEGIN {printf "%.1f", s / 60}'; }

main "$@"
