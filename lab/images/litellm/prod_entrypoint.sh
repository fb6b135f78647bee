#!/bin/sh
# As in the real image, with one difference that it announces: no package registry has Prisma's query engine.
set -eu
if [ -n "${DATABASE_URL:-}" ]; then
    echo "lab: DATABASE_URL is set aside, because this image has no Prisma engine: no virtual keys, no spend log" >&2
    unset DATABASE_URL
fi
exec litellm "$@"
