#!/usr/bin/env bash
# Joins this machine to the mesh: join_mesh.sh LOGIN_SERVER NAME SOCKET, the key on stdin. Its state is in memory: it leaves when the machine ends.
set -euo pipefail

as_root() {
	if [[ $(id -u) == 0 ]]; then "$@"; else sudo -n "$@"; fi
}

main() {
	local server=$1 name=$2 socket=$3 key tailscale tailscaled tried
	tailscale=$(command -v tailscale) tailscaled=$(command -v tailscaled)
	key=$(mktemp)
	# shellcheck disable=SC2064 # of this very file
	trap "rm -f '$key'" EXIT
	cat >"$key"
	as_root mkdir -p "${socket%/*}"
	as_root setsid "$tailscaled" --state=mem: --socket="$socket" </dev/null >/dev/null 2>&1 &
	for ((tried = 0; tried < 50; tried++)); do
		[[ -e $socket ]] && break
		sleep 0.2
	done
	as_root "$tailscale" --socket="$socket" up --login-server="$server" --auth-key="file:$key" --hostname="$name" \
		--accept-dns=true --timeout=60s
}

main "$@"
