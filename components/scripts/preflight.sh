# What a deployment needs of a host, asked before anything is touched: preflight.sh BASE MINIMUM_FREE_MIB IMAGE...
# Prints one line a finding: "docker TEXT", "disk PATH FREE_MIB", "image REFERENCE TEXT". Nothing printed: all is well.
set -euo pipefail

main() {
	local base=$1 minimum=$2 version
	shift 2
	free_space "$base" "$minimum"
	if ! version=$(docker version --format '{{.Server.Version}}' 2>&1); then
		echo "docker ${version//$'\n'/ }"
		return 0
	fi
	free_space "$(docker info --format '{{.DockerRootDir}}')" "$minimum"
	local image
	for image in "$@"; do available "$image" & done
	wait
}

free_space() {
	local path=$1 free
	while [[ ! -e $path ]]; do path=$(dirname "$path"); done
	free=$(df -Pm "$path" | awk 'NR == 2 {print $4}')
	if ((free < $2)); then echo "disk $1 $free"; fi
}

available() {
	local answer
	docker image inspect "$1" >/dev/null 2>&1 && return 0
	answer=$(docker manifest inspect "$1" 2>&1 >/dev/null) && return 0
	echo "image $1 ${answer//$'\n'/ }"
}

main "$@"
