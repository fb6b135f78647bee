#!/bin/bash
# Take an unconfirmed change of SSH and firewall back: vpai-revert REASON [SINCE]
# Started by a timer, by access.sh, and at boot (with "boot") before the firewall and sshd start; with SINCE only for the change of
# that time. What could not be taken back is tried again each minute: the snapshot stays until all of it is in force again.
set -uo pipefail

STATE=/var/lib/vpai
TRANSACTION=$STATE/transaction
AGAIN_SECONDS=60

main() {
	local reason=$1 was_enabled=no
	mkdir -p /run/lock
	exec 9>/run/lock/vpai-access
	# Not for ever: what holds the lock may hang, and is what locked somebody out.
	flock -w 15 9
	if [[ ! -e $TRANSACTION/files.tar ]]; then return 0; fi
	since=$(cat "$TRANSACTION/since")
	if [[ -n ${2:-} && $2 != "$since" ]]; then return 0; fi
	systemctl stop vpai-revert-armed.timer 2>/dev/null
	# From here on it is half-way, and nothing that could be confirmed.
	rm -f "$TRANSACTION/token"
	step tar -C / -xpf "$TRANSACTION/files.tar"
	if [[ -e $TRANSACTION/absent ]]; then step xargs -r -d '\n' -a "$TRANSACTION/absent" rm -f; fi
	grep -qx 'ENABLED=yes' /etc/ufw/ufw.conf && was_enabled=yes
	if [[ $reason != boot ]]; then take_effect "$was_enabled"; fi
	[[ $reason == boot ]] && reason="the host was restarted before it was confirmed"
	if ((${#failed[@]})); then
		again "$reason"
		return 1
	fi
	# The file first: whoever would read the output may be gone.
	echo "$(date -Is) the change of $since went back: $reason" >"$STATE/reverted"
	rm -f "$STATE/revert-failed"
	cat "$STATE/reverted"
	sync
	rm -rf "$TRANSACTION"
}

failed=()

# Goes on after a failure: what else can be put right, is.
step() { "$@" || failed+=("$*"); }

again() {
	local said
	said=$(printf '; %s' "${failed[@]}")
	echo "$(date -Is) the change of $since could NOT be taken back (it is tried again each minute): ${said#; }" >"$STATE/revert-failed"
	cat "$STATE/revert-failed" >&2
	systemd-run --quiet --collect --on-active="$AGAIN_SECONDS" --timer-property=AccuracySec=1s /usr/local/sbin/vpai-revert "$1" "$since"
}

take_effect() {
	if [[ $1 == yes ]]; then
		# Each file holds its chains whole: loading it replaces them at once, with no moment without a firewall.
		step loaded iptables-restore /etc/ufw/user.rules
		step loaded ip6tables-restore /etc/ufw/user6.rules
	else
		step ufw --force disable
	fi
	step /usr/local/sbin/vpai-forward
	step systemctl daemon-reload
	if systemctl is-active --quiet ssh.socket; then step systemctl restart ssh.socket; fi
	step sshd -t
	step reloaded
}

loaded() { "$1" --wait --noflush <"$2"; }

# shellcheck disable=SC2317 # Called through `step`.
reloaded() { systemctl reload ssh.service || systemctl restart ssh.service; }

main "${1:-asked by hand}" "${2:-}"
