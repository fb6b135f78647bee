# A machine that is to take the place of a host, before it is ours. Runs as root:
#   fresh_machine.sh look BASE      prints "free MIB" of the disk that BASE will be on, "memory MIB", "release ID-VERSION_ID",
#                                   and "holds PATH" for whatever of a host is there already
#   fresh_machine.sh unpack BASE    files for BASE as a base64 tar on stdin
set -euo pipefail

look() {
	local base=$1 path=$1 ID VERSION_ID
	while [[ ! -e $path ]]; do path=$(dirname "$path"); done
	echo "free $(df -Pm "$path" | awk 'NR == 2 {print $4}')"
	echo "memory $(awk '/^MemTotal:/ {print int($2 / 1024)}' /proc/meminfo)"
	# shellcheck source=/dev/null
	source /etc/os-release
	echo "release $ID-$VERSION_ID"
	for path in "$base/data" "$base/config"; do
		if [[ -d $path && -n $(ls -A "$path") ]]; then echo "holds $path"; fi
	done
}

unpack() {
	install -d -m 0755 "$1"
	base64 -d | tar -x -p --same-owner --numeric-owner -C "$1"
}

"$@"
