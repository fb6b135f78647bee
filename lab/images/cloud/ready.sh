#!/bin/sh
# Returns when registry, model providers and pebble answer (the name server is up long before).
set -eu
until curl --silent --fail --output /dev/null --resolve registry.vpai.test:5000:127.0.0.1 https://registry.vpai.test:5000/v2/ \
    && curl --silent --fail --output /dev/null --resolve api.openai.com:443:127.0.0.1 https://api.openai.com/__lab/health \
    && curl --silent --fail --output /dev/null --resolve acme.vpai.test:14000:127.0.0.1 https://acme.vpai.test:14000/dir; do
    sleep 0.2
done
