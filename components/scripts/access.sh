# SSH and firewall of a host, changed as one transaction that goes back by itself. Runs as root:
#   access.sh apply SECONDS SSH_PORT   files as base64 tar on stdin; prints "unchanged" or a token
#   access.sh confirm TOKEN            keeps the change; fails when it has already gone back
#   access.sh last                     that a change waits, or why the last one went back
# Between apply and confirm a timer is armed that restores the old files and rules; it survives a reboot.
set -euo pipefail

STATE=/var/lib/vpai
TRANSACTION=$STATE/transaction
CONFIGURATION=(
	/etc/ssh/sshd_config.d/10-vpai.conf /etc/systemd/system/ssh.socket.d/vpai.conf
	/etc/default/ufw /etc/ufw/ufw.conf /etc/ufw/user.rules /etc/ufw/user6.rules
	/etc/vpai/ufw.rules /etc/vpai/forward.v4 /etc/vpai/forward.v6
)

main() {
	install -d -m 0700 "$STATE"
	exec 9>/run/lock/vpai-access
	flock -w 60 9 || fail "another change of SSH or firewall has been going on for a minute; wait for it to end"
	case $1 in
	apply) apply "$2" "$3" ;;
	confirm) confirm "$2" ;;
	last) last ;;
	esac
}

apply() {
	local seconds=$1 port=$2 draft token
	if [[ -e $TRANSACTION ]]; then
		fail "a change waits for its confirmation since $(cat $TRANSACTION/since): another run makes it, or was killed.
$(cat "$STATE/revert-failed" 2>/dev/null || true)
Why: what it has not confirmed goes back by itself, to what was in force before it.
How to fix it: run \`pulumi up\` again in $seconds s (vpai:revertSeconds); or, on the host: sudo vpai-revert"
	fi
	draft=$(mktemp -d)
	# shellcheck disable=SC2064 # the directory's name is known now
	trap "rm -rf '$draft'" EXIT
	base64 -d | tar -x -p -C "$draft"
	install_tools "$draft"
	if in_order "$draft" "$port"; then
		echo unchanged
		return 0
	fi
	token=$(date +%s).$$
	begin "$token" "$seconds"
	if ! change "$draft" "$port" >&2; then
		exec 9>&-
		/usr/local/sbin/vpai-revert "the change could not be made" || true
		exit 1
	fi
	echo "$token"
}

# Our own programs and units are no part of the transaction: they are what takes it back.
install_tools() {
	local tool
	(cd "$1" && find usr/local/sbin etc/systemd/system -maxdepth 1 -type f) | while read -r tool; do
		cmp -s "$1/$tool" "/$tool" || install -D -m "$(stat -c %a "$1/$tool")" "$1/$tool" "/$tool"
	done
	systemctl daemon-reload
	systemctl enable --quiet vpai-revert.service vpai-forward.service vpai-rescue.timer
	systemctl start vpai-rescue.timer
}

in_order() {
	local draft=$1 port=$2 file
	for file in etc/vpai/ufw.rules etc/vpai/forward.v4 etc/vpai/forward.v6 etc/ssh/sshd_config.d/10-vpai.conf; do
		cmp -s "$draft/$file" "/$file" || return 1
	done
	ufw status | grep -qx 'Status: active' || return 1
	diff -q <(sort "$draft/etc/vpai/ufw.rules") <(added) >/dev/null || return 1
	/usr/local/sbin/vpai-forward check || return 1
	listens "$port"
}

begin() {
	local file present=()
	rm -rf "$TRANSACTION.draft"
	install -d -m 0700 "$TRANSACTION.draft"
	for file in "${CONFIGURATION[@]}"; do
		if [[ -e $file ]]; then present+=("${file#/}"); else echo "$file" >>"$TRANSACTION.draft/absent"; fi
	done
	tar -C / -cf "$TRANSACTION.draft/files.tar" "${present[@]}"
	date -Is >"$TRANSACTION.draft/since"
	echo "$1" >"$TRANSACTION.draft/token"
	sync "$TRANSACTION.draft"/*
	rm -f "$STATE/reverted" "$STATE/revert-failed"
	# Armed first: a transaction without its timer would wait for the next boot. The default accuracy of a timer is a minute.
	systemctl stop vpai-revert-armed.timer 2>/dev/null || true
	systemd-run --quiet --collect --unit=vpai-revert-armed --on-active="$2" --timer-property=AccuracySec=200ms \
		/usr/local/sbin/vpai-revert "nobody confirmed it within $2 s"
	mv -T "$TRANSACTION.draft" "$TRANSACTION"
	sync "$STATE"
}

change() {
	local draft=$1 port=$2
	install -D -m 0600 "$draft/etc/ssh/sshd_config.d/10-vpai.conf" /etc/ssh/sshd_config.d/10-vpai.conf || return 1
	if ! sshd -t; then
		echo "sshd refuses its new configuration; nothing of it was taken up" >&2
		return 1
	fi
	install -D -m 0644 -t /etc/vpai "$draft"/etc/vpai/* || return 1
	firewall || return 1
	/usr/local/sbin/vpai-forward || return 1
	move_sshd "$draft" "$port"
}

# New rules first, old ones last: at no moment is anything closed that both have open, and nothing is ever open to all.
firewall() {
	local rule
	sed -i 's/^IPV6=.*/IPV6=yes/' /etc/default/ufw
	# UFW stops and starts the whole firewall for a policy, even for the one that is in force.
	policy INPUT DROP || ufw --force default deny incoming || return 1
	policy OUTPUT ACCEPT || ufw --force default allow outgoing || return 1
	while read -r rule; do
		if ! added | grep -qxF -- "$rule"; then eval "ufw $rule" || return 1; fi
	done </etc/vpai/ufw.rules
	ufw status | grep -qx 'Status: active' || ufw --force enable || return 1
	added | while read -r rule; do
		if ! grep -qxF -- "$rule" /etc/vpai/ufw.rules; then eval "ufw --force delete ${rule%% comment *}" || return 1; fi
	done
}

policy() { grep -qx "DEFAULT_$1_POLICY=\"$2\"" /etc/default/ufw; }

added() { ufw show added | sed -n 's/^ufw //p' | sort; }

move_sshd() {
	local draft=$1 port=$2
	if systemctl is-active --quiet ssh.socket; then
		install -D -m 0644 "$draft/etc/systemd/system/ssh.socket.d/vpai.conf" /etc/systemd/system/ssh.socket.d/vpai.conf
		systemctl daemon-reload
		systemctl restart ssh.socket
	else
		systemctl reload ssh.service
	fi
	# `ss` may print nothing right after the reload.
	for _ in {1..50}; do
		if listens "$port"; then return 0; fi
		sleep 0.1
	done
	echo "sshd does not listen on port $port after its reload" >&2
	return 1
}

listens() { ss -Hltn "sport = :$1" | grep -q .; }

confirm() {
	local token=$1
	# Asked again when the answer was lost on its way.
	if [[ $(cat "$STATE/confirmed" 2>/dev/null) == "$token" ]]; then return 0; fi
	if [[ $(cat "$TRANSACTION/token" 2>/dev/null) != "$token" ]]; then
		fail "the change has already gone back: $(cat "$STATE/revert-failed" "$STATE/reverted" 2>/dev/null || echo 'no reason is known')"
	fi
	systemctl stop vpai-revert-armed.timer
	echo "$token" >"$STATE/confirmed"
	rm -rf "$TRANSACTION"
}

last() {
	if [[ -e $STATE/revert-failed ]]; then
		cat "$STATE/revert-failed"
	elif [[ -e $TRANSACTION ]]; then
		echo "a change waits for its confirmation"
	else
		cat "$STATE/reverted" 2>/dev/null || true
	fi
}

fail() {
	echo "$1" >&2
	exit 1
}

main "$@"
