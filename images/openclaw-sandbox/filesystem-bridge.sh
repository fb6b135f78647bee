#!/bin/sh
# In front of /bin/sh, for one script: OpenClaw 2026.2.23 joins the lines with which its tools for files look at a path by "; ",
# and "do;" is a syntax error in every shell (npm openclaw@2026.2.23, dist/sandbox-*.js, resolveCanonicalContainerPath): all of
# write, edit and apply_patch failed. 2026.2.24 joins them by newlines: this file goes with that version.
set -eu
if [ "${1-}" = -c ] && [ "${3-}" = moltbot-sandbox-fs ]; then
	script=$(printf '%s\n' "$2" | sed 's/\([;[:space:]]\)do; /\1do /g')
	shift 2
	exec /bin/sh -c "$script" "$@"
fi
exec /bin/sh "$@"
