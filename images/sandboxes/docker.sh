#!/bin/bash
# Inside of the user namespace, as its root: the packet filter, names, and Docker. An argument for each network of the host that
# sandboxes reach: NAME=BRIDGE,OWN,RANGE or NAME=BRIDGE,OWN,RANGE,out, where OWN are the addresses of its sandboxes. What they
# send leaves as the container's own, which is on all of these networks; here is decided what each of them reaches: its RANGE
# alone, and with `out` whatever is none of the others.
set -euo pipefail
resolver=10.0.2.3 # slirp4netns: asks whom the container asks
closed=()
iptables -N DOCKER-USER
for network in "$@"; do
	IFS='=,' read -r name bridge own range out <<<"$network"
	iptables -A DOCKER-USER -i "$bridge" -d "$range" -j RETURN
	if [ -z "$out" ]; then
		closed+=("$name=$own")
		iptables -A DOCKER-USER -i "$bridge" -j DROP
		continue
	fi
	iptables -A DOCKER-USER -i "$bridge" -d "$resolver" -j RETURN
	for other in "$@"; do
		IFS='=,' read -r _ _ _ range _ <<<"$other"
		iptables -A DOCKER-USER -i "$bridge" -d "$range" -j DROP
	done
done
rm -rf /var/lib/sandboxes/docker
GOMEMLIMIT=16MiB docker-proxy -names "$resolver" "${closed[@]}" &
dockerd --rootless --log-level=warn --userland-proxy=false --bridge=none \
	--data-root=/var/lib/sandboxes/docker --exec-root=/run/sandboxes/exec --pidfile=/run/sandboxes/docker.pid \
	--host=unix:///run/sandboxes/docker.sock &
trap 'trap - TERM; kill $(jobs -p); wait; exit 0' TERM
wait -n
exit 1
