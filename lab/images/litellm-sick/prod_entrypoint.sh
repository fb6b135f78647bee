#!/bin/sh
# Starts, says something, and never serves: what a broken release looks like.
echo "lab: this release is sick on purpose: it never listens on its port" >&2
exec sleep infinity
