#!/bin/bash
# What the hosts find on their Internet: names, images, model providers, certificates. One of them ending ends the container
# (and Docker starts it again).
set -euo pipefail
ip address replace "$(cat /etc/lab/gateway)" dev eth0
read -ra resolvers <<<"$(cat /etc/lab/resolvers)"
for resolver in "${resolvers[@]}"; do ip address replace "$resolver" dev lo; done
# shellcheck source=/dev/null # OVH_NAMES and ACME, ports
. /etc/lab/ports
dnsmasq --keep-in-foreground --conf-file=/etc/lab/dnsmasq.conf --user=root &
docker-registry serve /etc/docker/registry/registry.yml &
tls=(--certificate /etc/lab/cloud.crt --key /etc/lab/cloud.key)
env -C /usr/local/lib python3 -m lab.providers.server --port 443 "${tls[@]}" --names-port "$OVH_NAMES" &
pebble --listen "0.0.0.0:$ACME" "${tls[@]}" --root /etc/lab/root.crt --root-key /etc/lab/root.key --resolver 127.0.0.1:53 &
trap 'kill $(jobs -p)' TERM INT
wait -n
exit 1
