#!/bin/sh
# signal.sh TOKEN NUMBER: send the signal to every process of one `lab exec`, as a terminal would.
set -eu
for environment in /proc/[0-9]*/environ; do
    if grep -qzx "LAB_EXEC=$1" "$environment" 2>/dev/null; then
        process=${environment#/proc/}
        kill -"$2" "${process%/environ}" 2>/dev/null || true # it may have ended by now
    fi
done
