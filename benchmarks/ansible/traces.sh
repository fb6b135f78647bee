#!/usr/bin/env bash
# On the host: everything that a deployment could leave behind.
set -euo pipefail
docker ps --all --quiet --no-trunc | sort
docker network ls --quiet --no-trunc | sort
docker volume ls --quiet | sort
docker image ls --all --quiet --no-trunc | sort
ls -A /opt /tmp /root /home/deploy
