#!/bin/sh
# Give the owner of the checkout a name and a home here (ssh asks for both), then wait for `lab exec`.
set -eu
if [ "$OPERATOR_UID" != 0 ] && ! getent passwd "$OPERATOR_UID" >/dev/null; then
    getent group "$OPERATOR_GID" >/dev/null || groupadd --gid "$OPERATOR_GID" operator
    useradd --uid "$OPERATOR_UID" --gid "$OPERATOR_GID" --home-dir "$HOME" --no-create-home --shell /bin/bash operator
fi
exec sleep infinity
