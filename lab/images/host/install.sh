#!/bin/sh
# What makes a container of this image a host: the deploy user, no hardware services, no host key (each host is given its own).
set -eu
useradd --create-home --shell /bin/bash --groups docker,sudo deploy
install -d -m 700 -o deploy -g deploy /home/deploy/.ssh
echo 'deploy ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/deploy
chmod 440 /etc/sudoers.d/deploy
rm -f /etc/ssh/ssh_host_*

# There is no udev, no kernel module and no console for a container; timers would reach for the Internet.
systemctl mask systemd-udevd.service systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-modules-load.service \
    sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount dev-hugepages.mount dev-mqueue.mount \
    systemd-remount-fs.service getty.target console-getty.service apt-daily.timer apt-daily-upgrade.timer \
    systemd-timesyncd.service systemd-networkd-wait-online.service
systemctl enable proc-sys.service ssh.service docker.service
rm -f /etc/machine-id
: >/etc/machine-id
