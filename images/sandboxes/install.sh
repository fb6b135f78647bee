#!/bin/sh
# Debian's rootless Docker, for the user 20007 and the users that it may map.
set -eu
apt-get update
apt-get install -y --no-install-recommends docker.io rootlesskit slirp4netns uidmap iptables iproute2 libcap2-bin
rm -rf /var/lib/apt/lists/*
# Two programs gain a right when they are run, to write the map of a user namespace; with it and as their caller, not as root:
# root without its other capabilities may not open what is the caller's.
find / -xdev -type f -perm /6000 -exec chmod ug-s {} +
setcap cap_setuid=ep /usr/bin/newuidmap
setcap cap_setgid=ep /usr/bin/newgidmap
groupadd --gid 20007 sandboxes
useradd --uid 20007 --gid 20007 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin sandboxes
# In order: root in there is 20007 out here, 1000 is 1000, whose workspaces both OpenClaw and its sandboxes write, and all
# others are users that no host has.
printf 'sandboxes:1000000:999\nsandboxes:1000:1\nsandboxes:1001000:64536\n' >/etc/subuid
cp /etc/subuid /etc/subgid
install -d -o 20007 -g 20007 -m 700 /var/lib/sandboxes
install -d /host/proc /host/sys
