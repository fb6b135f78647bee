# Run a one-shot step inside the running service: task.sh SERVICE_LABEL COMMAND...   (the step's input on stdin)
set -euo pipefail

main() {
	local label=$1 container
	shift
	container=$(docker ps -q --filter "label=$label" --filter health=healthy | head -n 1)
	if [[ -z $container ]]; then
		echo "no healthy container has the label $label" >&2
		exit 1
	fi
	docker exec -i "$container" "$@"
}

main "$@"
