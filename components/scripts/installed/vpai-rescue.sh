#!/bin/bash
# Once a minute: a host that has been without its mesh for MINUTES opens SSH to the public, keys only, and closes it again
# when the mesh is back: vpai-rescue MINUTES RULE
set -euo pipefail

SINCE=/run/vpai-without-mesh

main() {
	local minutes=$1 rule=$2 now
	exec 9>/run/lock/vpai-access
	# A change that waits for its confirmation takes UFW's rules back as they were: no other hand in them meanwhile.
	if ! flock -n 9 || [[ -e /var/lib/vpai/transaction ]]; then return 0; fi
	# Open by the rules themselves: there is nothing to rescue, and nothing to close.
	if grep -qxF -- "$rule" /etc/vpai/ufw.rules; then return 0; fi
	if in_mesh; then
		rm -f "$SINCE"
		if is_open "$rule"; then
			eval "ufw --force delete ${rule%% comment *}"
			echo "the mesh is back: SSH is closed to the public again"
		fi
		return 0
	fi
	now=$(date +%s)
	[[ -e $SINCE ]] || echo "$now" >"$SINCE"
	if ((minutes > 0 && now - $(cat "$SINCE") >= minutes * 60)) && ! is_open "$rule"; then
		eval "ufw $rule"
		echo "no mesh for $minutes minutes: SSH is open to the public until it is back"
	fi
}

# A member in good standing whose hub answers.
in_mesh() {
	local status peers peer
	status=$(timeout 10 tailscale status --json 2>/dev/null) || return 1
	jq -e '.BackendState == "Running" and .Self.Online' <<<"$status" >/dev/null || return 1
	# Whom the hub has removed is told nothing and goes on saying that it is in: but no peer answers it (Headscale 0.28).
	mapfile -t peers < <(jq -r '.Peer // {} | .[] | select(.Online) | .TailscaleIPs[0]' <<<"$status")
	for peer in "${peers[@]}"; do
		if tailscale ping -c 1 --timeout 3s --until-direct=false "$peer" >/dev/null 2>&1; then return 0; fi
	done
	((${#peers[@]} == 0))
}

# With our own comment: a rule that somebody made by hand is theirs to take back.
is_open() { ufw show added | grep -qxF -- "ufw $1"; }

main "$@"
