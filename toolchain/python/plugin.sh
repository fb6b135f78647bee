#!/bin/sh
# Runs as pulumi-language-python (the language host) and as pulumi-resource-pulumi-python (dynamic providers), by the name it is called by.
# Both need the program's own python: $PULUMI_PYTHON_CMD, else the project's `virtualenv` option, else python3.
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
case ${0##*/} in
pulumi-language-python) plugin=language_host.py ;;
*) plugin=dynamic_provider.py ;;
esac
exec "$python" -u "$(dirname "$0")/../python/$plugin" "$@"
