#!/bin/sh
# Give the owner of the checkout a name and a home here (ssh asks for both), and run tailscaled where there is one: the
# outsider is this image without it.
set -eu
rm -f /run/lab-ready
if ! getent passwd "$OPERATOR_UID" >/dev/null; then
    getent group "$OPERATOR_GID" >/dev/null || groupadd --gid "$OPERATOR_GID" deployer
    useradd --uid "$OPERATOR_UID" --gid "$OPERATOR_GID" --home-dir "$HOME" --no-create-home --shell /bin/bash deployer
fi
mkdir -p "$HOME/.ssh"
chmod 700 "$HOME/.ssh"
chown "$OPERATOR_UID:$OPERATOR_GID" "$HOME" "$HOME/.ssh"

announce() {
    if [ -x /usr/sbin/tailscaled ]; then
        until tailscale status --json >/dev/null 2>&1; do sleep 0.1; done
        # Who deploys may use tailscale without being root.
        [ "$OPERATOR_UID" = 0 ] || tailscale set --operator="$(id -nu "$OPERATOR_UID")"
    fi
    touch /run/lab-ready
}

stop() {
    kill "$daemon"
    wait "$daemon" || true # tailscaled puts /etc/resolv.conf back before it ends
    exit 0
}

if [ -x /usr/sbin/tailscaled ]; then # its resolv.conf is a file that tailscaled can rename over, as a host's: see images/host
    content=$(cat /etc/resolv.conf)
    umount /etc/resolv.conf
    [ -s /etc/resolv.conf ] || printf '%s\n' "$content" >/etc/resolv.conf
fi
announce &
trap stop TERM INT
while [ -x /usr/sbin/tailscaled ]; do
    tailscaled --state=/var/lib/tailscale/tailscaled.state --socket=/run/tailscale/tailscaled.sock --port=41641 --no-logs-no-support &
    daemon=$!
    wait "$daemon" || sleep 1
done
sleep infinity &
daemon=$!
wait "$daemon"
