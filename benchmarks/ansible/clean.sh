#!/usr/bin/env bash
# On the host: remove everything that the playbook made, and what it needed there.
set -euo pipefail
label=vpai.benchmark=ansible
docker ps --all --quiet --filter "label=$label" | xargs --no-run-if-empty docker rm --force --volumes >/dev/null
docker network ls --quiet --filter "label=$label" | xargs --no-run-if-empty docker network rm >/dev/null
rm -rf /opt/vpaibench /tmp/vpaibench
