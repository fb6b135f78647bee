#!/bin/sh
# Give the owner of the checkout a name and a home here (ssh asks for both), then wait for `lab exec`.
set -eu
if ! getent passwd "$OPERATOR_UID" >/dev/null; then
    getent group "$OPERATOR_GID" >/dev/null || groupadd --gid "$OPERATOR_GID" deployer
    useradd --uid "$OPERATOR_UID" --gid "$OPERATOR_GID" --home-dir "$HOME" --no-create-home --shell /bin/bash deployer
fi
chmod 700 "$HOME/.ssh"
chown "$OPERATOR_UID:$OPERATOR_GID" "$HOME" "$HOME/.ssh"
exec sleep infinity
