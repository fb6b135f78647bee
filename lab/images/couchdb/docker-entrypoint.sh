#!/bin/bash
# As the real one: a command other than CouchDB's is run as it is.
set -euo pipefail
[[ ${1:-} == /opt/couchdb/bin/couchdb ]] || exec "$@"
exec node /lab/server.mjs
