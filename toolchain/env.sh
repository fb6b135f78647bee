# Source this: the environment in which `pulumi` is this project's engine. What is set already stays.
_project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
_toolchain=$(cd "$_project" && python3 -m toolchain --part deploy --path)
export PATH="$_toolchain/bin:$PATH"
export PULUMI_HOME=${PULUMI_HOME:-$_project/.pulumi-home}
export PULUMI_BACKEND_URL=${PULUMI_BACKEND_URL:-file://$_project/.state}
export PULUMI_PYTHON_CMD=${PULUMI_PYTHON_CMD:-$_project/.venv/bin/python}
export PULUMI_SKIP_UPDATE_CHECK=true PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION=true
# A sixth less time for an `up` that changes nothing: the engine asks several providers at once what differs.
export PULUMI_PARALLEL_DIFF=${PULUMI_PARALLEL_DIFF:-true}
# A fifth less CPU for the engine and its plugins, which live for seconds: they collect garbage four times as seldom (docs/adr/0028).
export GOGC=${GOGC:-400}
mkdir -p "$PULUMI_HOME" "$_project/.state"
# A file where the engine's automatic log would have its directory: it writes none, a third of its work (docs/adr/0026).
# Somebody's own PULUMI_HOME keeps the logs that it has.
[ "$PULUMI_HOME" != "$_project/.pulumi-home" ] || [ ! -d "$PULUMI_HOME/logs" ] || rm -rf "$PULUMI_HOME/logs"
[ -e "$PULUMI_HOME/logs" ] || : >"$PULUMI_HOME/logs"
ln -sfn "$_toolchain/home/plugins" "$PULUMI_HOME/plugins"
unset _project _toolchain
