#!/bin/sh
# A host as a provider hands it over: root logs in with a key on port 22, and that is all that runs.
set -eu
install -d -m 700 /root/.ssh
rm -f /etc/ssh/ssh_host_*  # each host is given its own
rm -f /etc/docker/daemon.json

# There is no udev, no kernel module and no console for a container.
systemctl mask systemd-udevd.service systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-modules-load.service \
    sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount dev-hugepages.mount dev-mqueue.mount \
    systemd-remount-fs.service getty.target console-getty.service systemd-ask-password-wall.path systemd-ask-password-console.path \
    systemd-networkd-wait-online.service
# What the bootstrap turns on; a timer of apt would reach for the Internet.
systemctl disable docker.service docker.socket containerd.service tailscaled.service fail2ban.service auditd.service audit-rules.service \
    unattended-upgrades.service systemd-timesyncd.service apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer fstrim.timer
systemctl enable proc-sys.service resolv-conf.service ssh.service
# Each host makes its own identity at its first boot; systemd would take over D-Bus's, made with the image.
rm -f /etc/machine-id /var/lib/dbus/machine-id
: >/etc/machine-id
