# Whether an image would take a new configuration file, asked before anything is touched; the file is on stdin:
#   accepted.sh CURRENT FILE MOUNTED_AT IMAGE COMMAND [ARGUMENT...]
# CURRENT is the configuration in force on the host, seen by the command at MOUNTED_AT for what the new file refers to.
# Prints what the command says when it refuses; nothing when it accepts, where the service or its image is still to come, and
# where the image runs on this very file already.
set -euo pipefail

main() {
	local current=$1 file=$2 mounted=$3 image=$4 command=$5 output
	shift 5
	if [[ ! -e $current ]]; then return 0; fi
	new=$(mktemp)
	trap 'rm -f "$new"' EXIT
	cat >"$new"
	# What is asked at every `up` comes first: each start of docker's client costs more than its question.
	if cmp -s "$new" "$current/$file" && [[ -n $(docker ps --quiet --filter "ancestor=$image") ]]; then return 0; fi
	if ! docker image inspect "$image" >/dev/null 2>&1; then return 0; fi
	if ! output=$(docker run --rm -i --pull never --network none --read-only --memory 256m --tmpfs /tmp --tmpfs /data --tmpfs /config \
		-e XDG_DATA_HOME=/data -e XDG_CONFIG_HOME=/config -v "$(dirname "$current"):$mounted:ro" --entrypoint "$command" \
		"$image" "$@" 2>&1 <"$new"); then
		tail -n 5 <<<"$output"
	fi
}

main "$@"
