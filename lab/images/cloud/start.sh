#!/bin/bash
# What the hosts find on their Internet: names, images, model providers. One of them ending ends the container (and Docker
# starts it again).
set -euo pipefail
ip address replace "$(cat /etc/lab/gateway)" dev eth0
read -ra resolvers <<<"$(cat /etc/lab/resolvers)"
for resolver in "${resolvers[@]}"; do ip address replace "$resolver" dev lo; done
dnsmasq --keep-in-foreground --conf-file=/etc/lab/dnsmasq.conf --user=root &
docker-registry serve /etc/docker/registry/registry.yml &
env -C /usr/local/lib python3 -m lab.providers.server --port 443 --certificate /etc/lab/cloud.crt --key /etc/lab/cloud.key &
trap 'kill $(jobs -p)' TERM INT
wait -n
exit 1
