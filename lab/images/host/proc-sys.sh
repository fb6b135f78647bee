#!/bin/sh
# Docker mounts /proc/sys read-only, and dockerd without its userland proxy must set route_localnet. Open what belongs to
# this host's network namespace; what belongs to the whole kernel stays closed.
set -eu
mount -o remount,bind,rw /proc/sys
for part in kernel vm fs debug dev; do
    mount --bind "/proc/sys/$part" "/proc/sys/$part"
    mount -o remount,bind,ro "/proc/sys/$part"
done
# As udev makes it.
chmod 666 /dev/net/tun
