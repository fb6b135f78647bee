# What a deployment needs of a host, asked before anything is touched: preflight.sh BASE MINIMUM_FREE_MIB REGISTRY_SECONDS DATA[:DATA]... STAGED[:STAGED]... IMAGE...
# On stdin, for each configuration file that its image can judge, a line SERVICE, BYTES, FILE, MOUNTED_AT, IMAGE, COMMAND, ARGUMENT...
# with tabs between them, then the file: COMMAND reads it, and sees what is in force at MOUNTED_AT for what the file refers to.
# Prints one line a finding: "docker TEXT", "disk PATH FREE_MIB", "image REFERENCE TEXT", "file SERVICE TEXT", "data DIRECTORY" for one of
# DATA, directories in BASE/data, that is not empty; "staging NEEDED_MIB FREE_MIB" where a backup of STAGED, directories in BASE/data,
# would not fit beside them. Nothing: all is well.
set -euo pipefail

SPARE_MIB=512

main() {
	local base=$1 minimum=$2 patience=$3 data=$4 staged=$5 said found image
	shift 5
	free_space "$base" "$minimum"
	held "$base/data" "$data"
	staging "$base" "$staged"
	# On a machine that is not ours yet, and on one that had no containers, Docker is still to come.
	if [[ $# == 0 || ! -e /etc/vpai/ufw.rules ]] || ! systemctl is-enabled --quiet docker; then return 0; fi
	# One call for all: each start of docker's client costs more than its question.
	found=$(docker image inspect --format '{{join .RepoDigests " "}} {{join .RepoTags " "}}' "$@" 2>/dev/null || true)
	if [[ -z $found ]] && ! said=$(docker version 2>&1 >/dev/null); then
		echo "docker ${said//$'\n'/ }"
		return 0
	fi
	free_space /var/lib/docker "$minimum"
	for image in "$@"; do
		if [[ " ${found//$'\n'/ } " != *" $image "* ]]; then offered "$image" "$patience" & fi
	done
	wait
	refused_files "$base"
}

held() {
	local directories directory
	IFS=: read -ra directories <<<"$2"
	for directory in ${directories[@]+"${directories[@]}"}; do
		if [[ -d $1/$directory && -n $(ls -A "$1/$directory") ]]; then echo "data $directory"; fi
	done
}

# What is staged already makes room when that is needed (vpai-backup).
staging() {
	local base=$1 directory directories paths=() needed free
	IFS=: read -ra directories <<<"$2"
	for directory in ${directories[@]+"${directories[@]}"}; do
		if [[ -d $base/data/$directory ]]; then paths+=("$base/data/$directory"); fi
	done
	if ((${#paths[@]} == 0)); then return 0; fi
	needed=$(($(mib "${paths[@]}") + SPARE_MIB))
	free=$(($(df -Pm "$base" | awk 'NR == 2 {print $4}') + $(mib "$base/backups/staging")))
	if ((free < needed)); then echo "staging $needed $free"; fi
}

mib() { { du -smc -- "$@" 2>/dev/null || true; } | awk 'END {print $1 + 0}'; }

free_space() {
	local path=$1 free
	while [[ ! -e $path ]]; do path=$(dirname "$path"); done
	free=$(df -Pm "$path" | awk 'NR == 2 {print $4}')
	if ((free < $2)); then echo "disk $1 $free"; fi
}

# A registry that does not answer is not a host that does not: it ends before the whole question does.
offered() {
	local answer failed
	answer=$(timeout "$2" docker manifest inspect "$1" 2>&1 >/dev/null) && return
	failed=$?
	if ((failed == 124)); then answer="its registry has not answered within $2 s"; fi
	echo "image $1 ${answer//$'\n'/ }"
}

# Nothing is said where the service or its image is still to come, and where the image runs on this very file already.
refused_files() {
	local current service bytes file mounted image asked output
	new=$(mktemp)
	trap 'rm -f "$new"' EXIT
	while IFS=$'\t' read -ra asked; do
		service=${asked[0]} bytes=${asked[1]} file=${asked[2]} mounted=${asked[3]} image=${asked[4]}
		head -c "$bytes" >"$new"
		current=$1/config/$service/current
		if [[ ! -e $current ]]; then continue; fi
		if cmp -s "$new" "$current/$file" && [[ -n $(docker ps --quiet --filter "ancestor=$image") ]]; then continue; fi
		if ! docker image inspect "$image" >/dev/null 2>&1; then continue; fi
		output=$(docker run --rm -i --pull never --network none --read-only --memory 256m --tmpfs /tmp --tmpfs /data --tmpfs /config \
			-e XDG_DATA_HOME=/data -e XDG_CONFIG_HOME=/config -v "$(dirname "$current"):$mounted:ro" --entrypoint "${asked[5]}" \
			"$image" "${asked[@]:6}" 2>&1 <"$new") || echo "file $service $(tail -n 5 <<<"$output" | tr '\n' ' ')"
	done
}

main "$@"
