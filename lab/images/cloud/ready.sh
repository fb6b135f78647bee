#!/bin/sh
# Returns when registry and model providers answer (the name server is up long before).
set -eu
until curl --silent --fail --output /dev/null --resolve registry.vpai.test:5000:127.0.0.1 https://registry.vpai.test:5000/v2/ \
    && curl --silent --fail --output /dev/null --resolve api.openai.com:443:127.0.0.1 https://api.openai.com/__lab/health; do
    sleep 0.2
done
