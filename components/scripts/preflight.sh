# What a deployment needs of a host, asked before anything is touched: preflight.sh BASE MINIMUM_FREE_MIB IMAGE...
# Prints one line a finding: "docker TEXT", "disk PATH FREE_MIB", "image REFERENCE TEXT". Nothing printed: all is well.
set -euo pipefail

main() {
	local base=$1 minimum=$2 root found image
	shift 2
	free_space "$base" "$minimum"
	# On a machine that is not ours yet, and on one that had no containers, Docker is still to come.
	if [[ $# == 0 || ! -e /etc/vpai/ufw.rules ]] || ! systemctl is-enabled --quiet docker; then return 0; fi
	if ! root=$(docker info --format '{{if .ServerVersion}}{{.DockerRootDir}}{{end}}' 2>&1) || [[ $root != /* ]]; then
		echo "docker ${root//$'\n'/ }"
		return 0
	fi
	free_space "$root" "$minimum"
	# One call for all: each start of docker's client costs more than its question.
	found=$(docker image inspect --format '{{join .RepoDigests " "}} {{join .RepoTags " "}}' "$@" 2>/dev/null || true)
	for image in "$@"; do
		if [[ " ${found//$'\n'/ } " != *" $image "* ]]; then offered "$image" & fi
	done
	wait
}

free_space() {
	local path=$1 free
	while [[ ! -e $path ]]; do path=$(dirname "$path"); done
	free=$(df -Pm "$path" | awk 'NR == 2 {print $4}')
	if ((free < $2)); then echo "disk $1 $free"; fi
}

offered() {
	local answer
	answer=$(docker manifest inspect "$1" 2>&1 >/dev/null) || echo "image $1 ${answer//$'\n'/ }"
}

main "$@"
