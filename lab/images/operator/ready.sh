#!/bin/sh
# Returns when start.sh has done what comes before the waiting.
set -eu
until [ -e /run/lab-ready ]; do
    sleep 0.1
done
