#!/bin/sh
# Returns when the object storage answers under its public name.
set -eu
until curl --silent --fail --output /dev/null --resolve fsn1.your-objectstorage.com:443:127.0.0.1 \
    https://fsn1.your-objectstorage.com/__lab/health; do
    sleep 0.2
done
