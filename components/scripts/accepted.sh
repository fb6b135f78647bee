# Whether an image would take a new configuration file, asked before anything is touched; the file is on stdin:
#   accepted.sh CURRENT MOUNTED_AT IMAGE COMMAND [ARGUMENT...]
# CURRENT is the configuration in force on the host, seen by the command at MOUNTED_AT for what the new file refers to.
# Prints what the command says when it refuses; nothing when it accepts, and nothing where the service or its image is still to come.
set -euo pipefail

main() {
	local current=$1 mounted=$2 image=$3 command=$4 output
	shift 4
	if [[ ! -e $current ]] || ! docker image inspect "$image" >/dev/null 2>&1; then return 0; fi
	if ! output=$(docker run --rm -i --pull never --network none --read-only --memory 256m --tmpfs /tmp --tmpfs /data --tmpfs /config \
		-e XDG_DATA_HOME=/data -e XDG_CONFIG_HOME=/config -v "$(dirname "$current"):$mounted:ro" --entrypoint "$command" \
		"$image" "$@" 2>&1); then
		tail -n 5 <<<"$output"
	fi
}

main "$@"
