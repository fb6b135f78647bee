#!/bin/sh
# As n8n-io/n8n's: n8n with the container's arguments.
set -eu
exec n8n "$@"
