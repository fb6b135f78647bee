#!/bin/bash
# Load the rules for what is forwarded and for forged mesh addresses: vpai-forward [check]
# At boot before Docker, which leaves a DOCKER-USER chain that it finds as it is.
set -euo pipefail

RULES=/etc/vpai

main() {
	if [[ ${1:-} == check ]]; then
		loaded iptables v4 && loaded ip6tables v6
		return
	fi
	local code=0
	# Each as far as it goes: what fails of one is no reason to leave the other open.
	load iptables v4 || code=1
	load ip6tables v6 || code=1
	return $code
}

load() {
	local program=$1 rules=$RULES/forward.$2 code=0
	if [[ -s $rules ]]; then "$program-restore" --wait --noflush <"$rules" || code=1; fi
	if grep -qs VPAI-MESH "$rules"; then
		"$program" -w -t raw -C PREROUTING -j VPAI-MESH 2>/dev/null || "$program" -w -t raw -I PREROUTING -j VPAI-MESH || code=1
	elif "$program" -w -t raw -C PREROUTING -j VPAI-MESH 2>/dev/null; then
		"$program" -w -t raw -D PREROUTING -j VPAI-MESH || code=1
	fi
	if ! grep -qs DOCKER-USER "$rules" && "$program" -w -S DOCKER-USER >/dev/null 2>&1; then
		"$program" -w -F DOCKER-USER || code=1
	fi
	return $code
}

loaded() {
	diff -q <(grep -s '^-A' "$RULES/forward.$2") <(
		# A chain that is not there is no failure: waza has no Docker, and IPv6 no DOCKER-USER.
		"$1" -w -S DOCKER-USER 2>/dev/null | grep '^-A' || true
		"$1" -w -t raw -S VPAI-MESH 2>/dev/null | grep '^-A' || true
	) >/dev/null
}

main "$@"
