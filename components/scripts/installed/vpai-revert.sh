#!/bin/bash
# Take an unconfirmed change of SSH and firewall back: vpai-revert REASON
# Started by a timer, by access.sh, and at boot (with "boot") before the firewall and sshd start.
# Without -e: what fails to go back keeps nothing else from going back.
set -uo pipefail

STATE=/var/lib/vpai
TRANSACTION=$STATE/transaction

main() {
	local reason=$1 was_enabled=no
	mkdir -p /run/lock
	exec 9>/run/lock/vpai-access
	# Not for ever: what holds the lock may hang, and is what locked somebody out.
	flock -w 15 9
	if [[ ! -e $TRANSACTION/files.tar ]]; then return 0; fi
	systemctl stop vpai-revert-armed.timer 2>/dev/null
	tar -C / -xpf "$TRANSACTION/files.tar"
	if [[ -e $TRANSACTION/absent ]]; then xargs -r -d '\n' rm -f <"$TRANSACTION/absent"; fi
	grep -qx 'ENABLED=yes' /etc/ufw/ufw.conf && was_enabled=yes
	if [[ $reason != boot ]]; then take_effect "$was_enabled"; fi
	[[ $reason == boot ]] && reason="the host was restarted before it was confirmed"
	# The file first: whoever would read the output may be gone.
	echo "$(date -Is) the change of $(cat "$TRANSACTION/since") went back: $reason" >"$STATE/reverted"
	cat "$STATE/reverted"
	sync
	rm -rf "$TRANSACTION"
}

take_effect() {
	if [[ $1 == yes ]]; then
		# Each file holds its chains whole: loading it replaces them at once, with no moment without a firewall.
		iptables-restore --wait --noflush </etc/ufw/user.rules
		ip6tables-restore --wait --noflush </etc/ufw/user6.rules
	else
		ufw --force disable
	fi
	/usr/local/sbin/vpai-forward
	systemctl daemon-reload
	if systemctl is-active --quiet ssh.socket; then systemctl restart ssh.socket; fi
	if sshd -t; then systemctl reload ssh.service || systemctl restart ssh.service; fi
}

main "${1:-asked by hand}"
