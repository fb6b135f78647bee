#!/bin/sh
# Docker mounts /etc/resolv.conf, and nothing can be renamed over a mount: tailscaled would empty the file, then fill it, and
# whoever looks up a name in between finds no server. Make it a file as every host has one; kept when the host boots again.
set -eu
content=$(cat /etc/resolv.conf)
umount /etc/resolv.conf
[ -s /etc/resolv.conf ] || printf '%s\n' "$content" >/etc/resolv.conf
