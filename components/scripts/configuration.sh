# Configuration of a service below DIRECTORY, one subdirectory a version. Runs as root:
#   configuration.sh apply  DIRECTORY VERSION [SERVICE_LABEL RELOAD...]   files as base64 tar on stdin
#   configuration.sh read   DIRECTORY VERSION                             prints "sha256  path" of every file
#   configuration.sh remove DIRECTORY
# With a reload command `current` moves to VERSION, the command runs in the running service, and moves back if it fails.
# The last three versions are kept, so that a previous commit finds its files; and whatever a container mounts, running or not:
# one that still serves after some failed `up`s is of an older version.
set -euo pipefail

KEPT=3

apply() {
	local directory=$1 version=$2 label=${3:-}
	shift $(($# < 3 ? $# : 3))
	install -d -m 0711 "$directory"
	local draft="$directory/.draft.$version"
	rm -rf -- "$draft"
	mkdir -m 0755 "$draft"
	base64 -d | tar -x -p --same-owner --numeric-owner -C "$draft"
	rm -rf -- "${directory:?}/${version:?}.old"
	if [[ -e $directory/$version ]]; then mv -T "$directory/$version" "$directory/$version.old"; fi
	mv -T "$draft" "$directory/$version"
	rm -rf -- "$directory/$version.old"
	touch "$directory/$version"
	if [[ -n $label ]]; then
		local previous
		previous=$(readlink "$directory/current" || true)
		point "$directory" "$version"
		reload "$directory" "$previous" "$label" "$@"
	fi
	prune "$directory"
}

point() {
	ln -sfn "$2" "$1/.current"
	mv -T "$1/.current" "$1/current"
}

reload() {
	local directory=$1 previous=$2 label=$3 container output
	shift 3
	container=$(docker ps -q --filter "label=$label")
	if [[ -z $container ]]; then return 0; fi
	if ! output=$(docker exec "$container" "$@" 2>&1); then
		if [[ -n $previous ]]; then point "$directory" "$previous"; fi
		printf 'The new configuration was refused; the old one stays in force.\n%s\n' "$output" | tail -n 20 >&2
		exit 1
	fi
}

prune() {
	local directory=$1 current mounted containers
	current=$(readlink "$directory/current" || true)
	# Without an answer everything is kept; the next one prunes.
	containers=$(docker ps -aq) || return 0
	mounted=$(xargs -r docker inspect --format '{{range .Mounts}}{{println .Source}}{{end}}' <<<"$containers") || return 0
	find "$directory" -mindepth 1 -maxdepth 1 -type d -printf '%T@ %f\n' | sort -rn | awk -v kept=$KEPT 'NR > kept {print $2}' |
		while read -r old; do
			if [[ $old != "$current" ]] && ! grep -qxF -- "$directory/$old" <<<"$mounted"; then rm -rf -- "${directory:?}/$old"; fi
		done
}

read_back() {
	if [[ ! -d $1/$2 ]]; then
		echo absent
		return 0
	fi
	cd "$1/$2"
	find . -type f -printf '%P\0' | sort -z | xargs -0 -r sha256sum
}

case $1 in
apply) apply "${@:2}" ;;
read) read_back "$2" "$3" ;;
remove) rm -rf -- "${2:?}" ;;
esac
