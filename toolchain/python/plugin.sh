#!/bin/sh
# pulumi-resource-pulumi-python: dynamic providers, run by the program's own python:
# $PULUMI_PYTHON_CMD, else the project's `virtualenv` option, else python3.
set -eu

project_python() {
    directory=$PWD
    until [ -f "$directory/Pulumi.yaml" ]; do
        [ "$directory" != / ] || return 1
        directory=$(dirname "$directory")
    done
    virtualenv=$(sed -n "s/^ *virtualenv: *[\"']\{0,1\}\([^\"'#]*[^\"'# ]\).*/\1/p" "$directory/Pulumi.yaml")
    [ -n "$virtualenv" ] && [ -x "$directory/$virtualenv/bin/python" ] && echo "$directory/$virtualenv/bin/python"
}

python=${PULUMI_PYTHON_CMD:-$(project_python || echo python3)}
exec "$python" -u "$(dirname "$0")/../python/dynamic_provider.py" "$@"
