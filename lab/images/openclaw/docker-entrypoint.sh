#!/bin/sh
# As nodejs/docker-node's: what is no command is an argument of node.
set -eu
if [ "${1#-}" != "${1}" ] || [ -z "$(command -v "${1}")" ]; then set -- node "$@"; fi
exec "$@"
