#!/bin/bash
# A Docker of its own in a user namespace, and docker-proxy in front of it; both end when one does. Its arguments are networks
# that sandboxes join (docker.sh).
set -euo pipefail
export XDG_RUNTIME_DIR=/run/sandboxes HOME=/run/sandboxes
install -d -m 700 /run/sandboxes
# Sandboxes do not outlive their Docker: it begins empty, and what was left on the disk goes.
rootlesskit --state-dir=/run/sandboxes/kit --pidns --copy-up=/etc \
	--net=slirp4netns --mtu=1500 --disable-host-loopback --slirp4netns-sandbox=false --slirp4netns-seccomp=auto --port-driver=none \
	/usr/local/bin/docker.sh "$@" &
GOMEMLIMIT=32MiB docker-proxy -orders -socket /run/sandboxes/docker.sock &
trap 'trap - TERM; kill $(jobs -p); wait; exit 0' TERM
wait -n
exit 1
