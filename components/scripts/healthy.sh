# Wait until a container is healthy: healthy.sh CONTAINER_ID DEADLINE_SECONDS IMAGE_HISTORY_FILE
# A container that is not tells its health log and its last log lines. What is still starting is left alone: a database in
# recovery is waited for, never recreated.
set -euo pipefail

main() {
	local container=$1 deadline=$2 history=$3 state start=$SECONDS
	while true; do
		state=$(docker inspect --format '{{.State.Status}}/{{if .State.Health}}{{.State.Health.Status}}{{end}}' "$container" 2>&1) ||
			fail "$container" "it is gone: $state"
		case $state in
		running/healthy) break ;;
		exited/* | dead/*) fail "$container" "it has exited" ;;
		restarting/*) if ((SECONDS - start > 10)) && (($(restarts "$container") > 3)); then fail "$container" "it keeps restarting"; fi ;;
		esac
		if ((SECONDS - start >= deadline)); then fail "$container" "it is not healthy after $deadline s (state: $state)"; fi
		sleep 0.5
	done
	remember_image "$container" "$history"
}

restarts() { docker inspect --format '{{.RestartCount}}' "$1"; }

fail() {
	local container=$1
	{
		echo "$(docker inspect --format '{{.Name}}' "$container" 2>/dev/null | tr -d /): $2"
		echo "--- health log"
		docker inspect --format '{{if .State.Health}}{{range .State.Health.Log}}exit {{.ExitCode}}: {{.Output}}{{println}}{{end}}{{end}}' \
			"$container" 2>/dev/null | grep -v '^$' | tail -n 5 || true
		echo "--- last log lines"
		docker logs --tail 15 "$container" 2>&1 || true
	} >&2
	exit 1
}

# The images that were healthy, newest last; all but the last two go, so that a rollback needs no registry.
remember_image() {
	local image history=$2 old
	image=$(docker inspect --format '{{.Image}}' "$1")
	install -d -m 0755 "$(dirname "$history")"
	touch "$history"
	{ grep -vxF "$image" "$history" || true; echo "$image"; } >"$history.new"
	head -n -2 "$history.new" | while read -r old; do
		docker image rm "$old" >/dev/null 2>&1 || echo "image $old is still in use and stays" >&2
	done
	tail -n 2 "$history.new" >"$history.draft"
	mv "$history.draft" "$history"
	rm -f "$history.new"
}

main "$@"
