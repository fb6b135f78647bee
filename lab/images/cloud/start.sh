#!/bin/bash
# What the hosts find on their Internet: names, images, model providers. One of them ending ends the container (and Docker
# starts it again).
set -euo pipefail
dnsmasq --keep-in-foreground --conf-file=/etc/lab/dnsmasq.conf --user=root &
docker-registry serve /etc/docker/registry/registry.yml &
python3 /usr/local/lib/lab/providers/server.py --port 443 --certificate /etc/lab/cloud.crt --key /etc/lab/cloud.key &
trap 'kill $(jobs -p)' TERM INT
wait -n
exit 1
