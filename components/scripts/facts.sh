# What a host is like, for components/host/facts.py; changes nothing. Runs as root: facts.sh, on stdin what to look at:
#   file PATH | sysctl KEY | unit NAME | user NAME, one a line
# Prints "SECTION<tab>LINE". A section that does not appear: the host has no such thing, or it does not answer.
set -euo pipefail

main() {
	local kind name files=() keys=() units=() users=()
	while read -r kind name; do
		case $kind in
		file) files+=("$name") ;;
		sysctl) keys+=("$name") ;;
		unit) units+=("$name") ;;
		user) users+=("$name") ;;
		esac
	done
	host | section host
	if ((${#files[@]})); then
		stat -c '%a %U:%G %n' -- "${files[@]}" 2>/dev/null | section mode || true
		sha256sum -- "${files[@]}" 2>/dev/null | section sha256 || true
	fi
	if ((${#keys[@]})); then sysctl -e "${keys[@]}" 2>/dev/null | section sysctl || true; fi
	if ((${#units[@]})); then systemctl show -p Id,ActiveState,UnitFileState "${units[@]}" | section unit; fi
	for name in "${users[@]}"; do authorized_keys "$name" | section key; done
	sshd_effective
	ss -Hltnp | awk '/"sshd"/ {sub(/.*:/, "", $4); print $4}' | sort -un | section sshd-port
	if command -v ufw >/dev/null; then firewall; fi
	if command -v docker >/dev/null; then containers; fi
	# Without a daemon its client waits for two seconds.
	if [[ -S /run/tailscale/tailscaled.sock ]]; then mesh; fi
}

section() { sed "s/^/$1\t/"; }

host() {
	local ID VERSION_ID
	# shellcheck source=/dev/null
	source /etc/os-release
	echo "release $ID-$VERSION_ID"
	echo "container $(systemd-detect-virt --container || true)"
	echo "booted $(since UserspaceTimestamp)"
	if [[ -e /run/reboot-required ]]; then echo "reboot-required yes"; fi
	echo "timezone $(readlink /etc/localtime | sed 's,.*/zoneinfo/,,')"
	echo "swap $(awk 'NR > 1 {kib += $3} END {print int(kib / 1024)}' /proc/swaps)"
	echo "memory $(awk '/^MemTotal:/ {print int($2 / 1024)}' /proc/meminfo)"
}

# since PROPERTY [UNIT]: a time that systemd remembers, in seconds of the epoch.
since() { systemctl show --timestamp=unix -P "$@" | sed 's/^@//'; }

authorized_keys() {
	local home
	home=$(getent passwd "$1" | cut -d: -f6) || return 0
	cat "$home/.ssh/authorized_keys" 2>/dev/null || true
}

sshd_effective() {
	local output
	if output=$(sshd -T 2>&1); then section sshd <<<"$output"; else section sshd-error <<<"$output"; fi
}

firewall() {
	local version own='^-A ufw6\?-user-input '
	# Each start of ufw costs a Python; together they cost the longer one.
	ufw show added | sed -n 's/^ufw //p' | section ufw-rule &
	ufw status verbose | section ufw
	wait
	sed -n 's/^IPV6=/ipv6 /p' /etc/default/ufw | section ufw-setting
	sed -n 's/^ENABLED=/enabled /p' /etc/ufw/ufw.conf | section ufw-setting
	for version in 4 6; do
		# Our own chains, who leads into them, and whoever stands before UFW.
		"ip${version#4}tables-save" | grep -E '^-A (INPUT|DOCKER-USER|VPAI-\S+) |-j (DOCKER-USER|VPAI-\S+)$' |
			section "rule-v$version" || true
		# A rule that is stored but not in force: somebody took it out by hand.
		echo "$(grep -c "$own" "/etc/ufw/user${version#4}.rules" || true)" \
			"$("ip${version#4}tables-save" -t filter | grep -c "$own" || true)" | section "ufw-stored-loaded-v$version"
	done
}

containers() {
	local format='{"version": {{json .ServerVersion}}, "live_restore": {{json .LiveRestoreEnabled}}, "log_driver": {{json .LoggingDriver}}, '
	format+='"pools": {{json .DefaultAddressPools}}, "security": {{json .SecurityOptions}}}'
	if ! docker info --format "$format" 2>/dev/null | grep '"version": "[^"]' | section docker; then return 0; fi
	# A daemon that started before its file was written does not run by it.
	echo "$(since ExecMainStartTimestamp docker.service)" \
		"$(stat -c %Y /etc/docker/daemon.json 2>/dev/null || echo 0)" | section docker-started-written
}

mesh() {
	tailscale status --json --peers=false 2>/dev/null | jq -c '{state: .BackendState, name: .Self.DNSName, tags: (.Self.Tags // []),
		addresses: (.Self.TailscaleIPs // []), key_expiry: .Self.KeyExpiry, health: (.Health // [])}' | section mesh || true
	tailscale debug prefs 2>/dev/null | jq -c '{server: .ControlURL, hostname: .Hostname, netfilter_mode: .NetfilterMode}' |
		section mesh-settings || true
}

main "$@"
