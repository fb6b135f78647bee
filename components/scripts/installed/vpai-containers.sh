#!/bin/bash
# A host that goes down ends its containers as `docker stop` would: vpai-containers list|end (by docker.service, as it stops)
# With live-restore dockerd leaves them running. systemd then asks with SIGTERM, which a first process without a handler never
# sees and PostgreSQL takes for "once all clients are gone", and kills after 90 s. Docker starts them again at boot: nobody
# stopped them by hand.
set -euo pipefail

LIST=/run/vpai-containers
TENTHS=100

main() {
	# Docker alone stops, for an upgrade: that is what live-restore is for.
	[[ $(systemctl is-system-running) == stopping ]] || return 0
	case $1 in
	list) docker ps -q | xargs -r docker inspect -f '{{.State.Pid}} {{or .Config.StopSignal "SIGTERM"}}' >"$LIST" ;;
	end) end ;;
	esac
}

end() {
	local process signal
	while read -r process signal; do kill -s "$signal" "$process" || true; done <"$LIST"
	for ((i = 0; i < TENTHS; i++)); do
		[[ -n $(running) ]] || return 0
		sleep 0.1
	done
	for process in $(running); do kill -s KILL "$process" || true; done
}

running() {
	local process
	while read -r process _; do if [[ -e /proc/$process ]]; then echo "$process"; fi; done <"$LIST"
}

main "$@"
