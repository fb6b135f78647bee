#!/bin/bash
# Object storage under Hetzner's name: versitygw, in front of it what keeps lifecycle rules. One of them ending ends the
# container (and Docker starts it again). Objects lie in a volume that outlives the machine.
set -euo pipefail
cd /var/lib/storage
mkdir -p iam objects versions attributes rules
cp /etc/lab/users.json iam/users.json
export ROOT_ACCESS_KEY=root ROOT_SECRET_KEY
ROOT_SECRET_KEY=$(od -An -N16 -tx1 /dev/urandom | tr -d ' ') # nobody logs in as root
versitygw --quiet --port 127.0.0.1:8443 --region fsn1 --cert /etc/lab/storage.crt --key /etc/lab/storage.key \
    --iam-dir /var/lib/storage/iam --health /__lab/health \
    posix --versioning-dir /var/lib/storage/versions --sidecar /var/lib/storage/attributes /var/lib/storage/objects &
env -C /usr/local/lib python3 -m lab.providers.lifecycle --port 443 --behind 8443 --rules /var/lib/storage/rules \
    --certificate /etc/lab/storage.crt --key /etc/lab/storage.key &
trap 'kill $(jobs -p)' TERM INT
wait -n
exit 1
