# A host as components/host/baseline.py describes it. Runs as root: baseline.sh, the description on stdin.
# Prints "changed WHAT" for every change and nothing when all is in order; names on stderr what a container cannot show.
# Touches neither sshd's ports nor the firewall: those change only as a transaction.
set -euo pipefail

LOCK=/run/lock/vpai-baseline
PENDING=/var/lib/vpai/baseline/pending
LOCK_SECONDS=300
JAIL=/etc/fail2ban/jail.d/60-vpai.local
SPARED=/etc/fail2ban/jail.d/61-vpai-deploying.local
SWAP_MIB=2048
SWAP_BELOW_MIB=6144

main() {
	local work
	exec 9>"$LOCK"
	flock -w "$LOCK_SECONDS" 9 || fail "another deployment works on this host since more than $LOCK_SECONDS s ($LOCK)" \
		"two at once would undo each other" "wait for it, or look who it is: fuser -v $LOCK"
	work=$(mktemp -d)
	# shellcheck disable=SC2064 # $work is local, and known now.
	trap "rm -rf -- '$work' '$SPARED'" EXIT
	cat >"$work/description"
	spare_whoever_deploys
	install -d -m 0755 /etc/vpai
	install -d -m 0700 /var/lib/vpai "$PENDING"
	while read -r item rest; do
		# Words of a line are the arguments.
		# shellcheck disable=SC2086
		case $item in
		packages) packages $rest ;;
		packages-if-known) packages_if_known $rest ;;
		tailscale) tailscale ;;
		timezone) timezone "$rest" ;;
		user) user $rest ;;
		file) file $rest ;;
		units)
			take_effect
			units $rest
			;;
		machine-units) in_container || units $rest ;;
		*) fail "the description has a line that begins with '$item'" "this script does not know it" "deploy from one checkout" ;;
		esac
	done <"$work/description"
	# The audit of logins reads it: dev-sec sshd-05.
	if [[ $(stat -c %a /etc/ssh/sshd_config) != 600 ]]; then
		chmod 0600 /etc/ssh/sshd_config
		changed "mode of /etc/ssh/sshd_config"
	fi
	swap
	if in_container; then
		echo "not shown in a container: swap, kernel parameters ($KERNEL_PARAMETERS), auditd, clock, timers of apt" >&2
	fi
}

KERNEL_PARAMETERS=/etc/sysctl.d/60-vpai-kernel.conf

packages() {
	local missing
	missing=$(not_installed "$@")
	if [[ -n $missing ]]; then
		# What an installation that was cut off left behind.
		if [[ -n $(dpkg --audit) ]]; then dpkg --configure -a >/dev/null; fi
		apt_get update
		# shellcheck disable=SC2086 # A list of names.
		apt_get install $missing
		changed "packages: ${missing//$'\n'/ }"
	fi
}

packages_if_known() {
	local missing name known=()
	missing=$(not_installed "$@")
	for name in $missing; do
		if apt-cache show "$name" >/dev/null 2>&1; then known+=("$name"); fi
	done
	if ((${#known[@]})); then packages "${known[@]}"; fi
}

not_installed() {
	local installed
	if (($# == 0)); then return 0; fi
	# dpkg-query fails when it does not know one of them; what it prints is right all the same.
	installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || true)
	comm -13 <(sed -n 's/^installed //p' <<<"$installed" | sort) <(printf '%s\n' "$@" | sort)
}

# Machines that were just made run apt by themselves; its list lock, unlike dpkg's, is not waited for.
apt_get() {
	local action=$1 output deadline=$((SECONDS + LOCK_SECONDS))
	shift
	until output=$(DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -o "DPkg::Lock::Timeout=$LOCK_SECONDS" \
		-o Dpkg::Options::=--force-confold --no-install-recommends -qq -y "$action" "$@" 2>&1 </dev/null); do
		if [[ $output != *"Could not get lock"* ]] || ((SECONDS > deadline)); then
			fail "apt-get $action $* failed: $(tail -c 1500 <<<"$output")" "the host lacks what the baseline stands on" \
				"see that the host reaches its package mirror and that dpkg is in order: dpkg --configure -a; apt-get update"
		fi
		sleep 2
	done
}

tailscale() {
	if command -v tailscaled >/dev/null; then return 0; fi
	local keyring=/usr/share/keyrings/tailscale-archive-keyring.gpg site=https://pkgs.tailscale.com/stable ID VERSION_CODENAME
	# shellcheck source=/dev/null
	source /etc/os-release
	curl -fsSL --max-time 60 -o "$keyring.new" "$site/$ID/$VERSION_CODENAME.noarmor.gpg" ||
		fail "the key of Tailscale's packages could not be fetched from $site" "without tailscale the host joins no mesh" \
			"let the host reach it, or install tailscale by hand"
	mv "$keyring.new" "$keyring"
	echo "deb [signed-by=$keyring] $site/$ID $VERSION_CODENAME main" >/etc/apt/sources.list.d/tailscale.list
	packages tailscale
}

timezone() {
	if [[ $(readlink /etc/localtime) == */zoneinfo/$1 ]]; then return 0; fi
	[[ -e /usr/share/zoneinfo/$1 ]] || fail "the host knows no time zone $1" "logs and timers follow it" \
		"a name that 'timedatectl list-timezones' prints, such as Europe/Paris"
	ln -sfn "/usr/share/zoneinfo/$1" /etc/localtime
	if [[ -e /etc/timezone ]]; then echo "$1" >/etc/timezone; fi
	changed "time zone: $1"
}

# user NAME UID GROUPS KEYS: groups joined by commas, or "-"; authorized_keys in base64.
user() {
	local name=$1 uid=$2 groups=$3 home keys holder
	if ! getent passwd "$name" >/dev/null; then
		# The first free uid would be 1000, which images have for their own user: whatever leaves its container is that user.
		holder=$(getent passwd "$uid" | cut -d: -f1) || true
		[[ -z $holder ]] || fail "uid $uid, of the user $name who deploys, is $holder's" "one of the two could act as the other" \
			"give $holder another one: usermod --uid"
		# A group of that name may be there already, without the user.
		if getent group "$name" >/dev/null; then
			useradd --create-home --shell /bin/bash --uid "$uid" --gid "$name" "$name"
		else
			useradd --create-home --shell /bin/bash --uid "$uid" --user-group "$name"
		fi
		changed "user $name"
	elif [[ $(id -u "$name") != "$uid" ]]; then
		fail "the user $name has uid $(id -u "$name")" "a container may run as the same, and would be the one who deploys" \
			"as another user, while $name is not logged in: sudo usermod --uid $uid $name (its own files follow)"
	fi
	local group
	for group in ${groups//[-,]/ }; do
		if [[ " $(id -nG "$name") " != *" $group "* ]]; then
			usermod --append --groups "$group" "$name"
			changed "group $group of $name"
		fi
	done
	home=$(getent passwd "$name" | cut -d: -f6)
	keys=$home/.ssh/authorized_keys
	if [[ ! -d $home/.ssh || $(stat -c '%U %a' "$home/.ssh") != "$name 700" ]]; then
		install -d -m 0700 -o "$name" -g "$(id -gn "$name")" "$home/.ssh"
		changed "$home/.ssh"
	fi
	base64 -d <<<"$4" >"$work/keys"
	if put "$work/keys" "$keys" 600 "$name" "$(id -gn "$name")"; then changed "$keys"; fi
}

# file MODE PATH CONTENT: content in base64.
file() {
	local mode=$1 path=$2 action
	base64 -d <<<"$3" >"$work/file"
	action=$(action_after "$path")
	if same "$work/file" "$path" "${mode#0}" root root; then return 0; fi
	valid "$work/file" "$path"
	# Before the file: a run that is cut off in between is made good by the next one.
	if [[ -n $action ]]; then touch "$PENDING/$action"; fi
	install -d -m 0755 "$(dirname "$path")"
	put "$work/file" "$path" "${mode#0}" root root
	changed "$path"
}

valid() {
	local output
	case $2 in
	/etc/sudoers.d/*)
		output=$(visudo -c -f "$1" 2>&1) || fail "$2 would not be valid: $output" "a broken file takes sudo from everybody" \
			"correct the deploy user's name"
		;;
	/etc/docker/daemon.json)
		output=$(dockerd --validate --config-file "$1" 2>&1) || fail "$2 would not be valid: $output" \
			"dockerd would not start, and with it no container" "correct the settings it is made from, such as vpai:nameservers"
		;;
	esac
}

action_after() {
	case $1 in
	/etc/sysctl.d/*-network.conf) echo 1-network ;;
	"$KERNEL_PARAMETERS") echo 1-kernel ;;
	/etc/systemd/system/*) echo 2-units ;;
	/etc/systemd/journald.conf.d/*) echo 3-journald ;;
	/etc/audit/rules.d/*) echo 3-audit ;;
	/etc/fail2ban/*) echo 4-fail2ban ;;
	/etc/docker/daemon.json) echo 5-docker ;;
	esac
}

# What changed files need, once each, in the order of their names; also what an earlier run did not get to.
take_effect() {
	local action
	for action in "$PENDING"/*; do
		case ${action##*/} in
		# -e: a kernel without IPv6 does not know all of them.
		1-network) reported "the network's parameters were not accepted" sysctl -q -e -p /etc/sysctl.d/60-vpai-network.conf ;;
		1-kernel) in_container || reported "the kernel's parameters were not accepted" sysctl -q -p "$KERNEL_PARAMETERS" ;;
		2-units)
			systemctl daemon-reload
			# What failed for want of the condition that has just come.
			systemctl reset-failed auditd.service audit-rules.service 2>/dev/null || true
			;;
		3-journald) systemctl restart systemd-journald ;;
		3-audit) in_container || reported "the audit rules were not accepted" augenrules --load ;;
		4-fail2ban)
			spare_whoever_deploys
			systemctl enable --quiet fail2ban
			systemctl restart fail2ban
			reported "fail2ban does not watch sshd" watches_sshd
			;;
		5-docker)
			systemctl reset-failed docker.service 2>/dev/null || true
			if systemctl --quiet is-active docker.service; then reported "dockerd did not come back" systemctl restart docker; fi
			;;
		'*') continue ;;
		esac
		rm -f "$action"
	done
}

# fail2ban starts with the journal's last ten minutes. On a machine that was just made these have our own logins, of before it
# took our key: it banned whoever was about to set it up, in the middle of it. Gone with the run, and with fail2ban's next start.
spare_whoever_deploys() {
	local client=${SSH_CONNECTION:-} spared
	# sudo keeps it from us, not from itself.
	if [[ -z $client ]]; then client=$(tr '\0' '\n' <"/proc/$PPID/environ" | sed -n 's/^SSH_CONNECTION=//p' || true); fi
	if [[ -z $client ]]; then return 0; fi
	install -d -m 0755 "$(dirname "$SPARED")"
	spared=$(grep '^ignoreip = ' "$JAIL" 2>/dev/null || echo "ignoreip = 127.0.0.0/8 ::1")
	printf '[DEFAULT]\n%s %s\n' "$spared" "${client%% *}" >"$SPARED"
}

# shellcheck disable=SC2317 # Called through `reported`.
watches_sshd() {
	local deadline=$((SECONDS + 15))
	until fail2ban-client status sshd >/dev/null 2>&1; do
		if ((SECONDS > deadline)); then
			fail2ban-client -t || true
			return 1
		fi
		sleep 0.2
	done
}

# Enabled and running; both are asked in one call each.
units() {
	local unit states=() enabled=() index=0
	mapfile -t states < <(systemctl is-active "$@" || true)
	mapfile -t enabled < <(systemctl is-enabled "$@" 2>/dev/null || true)
	for unit in "$@"; do
		if [[ ${states[index]:-} != active || ${enabled[index]:-} != enabled ]]; then
			reported "$unit does not start" systemctl enable --quiet --now "$unit"
			changed "$unit: enabled and running"
		fi
		index=$((index + 1))
	done
}

swap() {
	local memory
	if in_container || [[ $(wc -l </proc/swaps) -gt 1 ]]; then return 0; fi
	memory=$(awk '/^MemTotal:/ {print int($2 / 1024)}' /proc/meminfo)
	if ((memory >= SWAP_BELOW_MIB)); then return 0; fi
	# dd, not fallocate: a file with holes is refused by some file systems.
	install -m 0600 /dev/null /swapfile
	dd if=/dev/zero of=/swapfile bs=1M count=$SWAP_MIB status=none
	mkswap --quiet /swapfile
	swapon /swapfile
	grep -q '^/swapfile ' /etc/fstab || echo "/swapfile none swap sw 0 0" >>/etc/fstab
	changed "swap: $SWAP_MIB MiB in /swapfile"
}

# put SOURCE PATH MODE OWNER GROUP: in one step, so that nobody reads half a file. False if it was the same already.
put() {
	local draft
	if same "$@"; then return 1; fi
	# Programs that read a whole directory skip names with a leading dot.
	draft=$(dirname "$2")/.$(basename "$2").new
	install -m "$3" -o "$4" -g "$5" "$1" "$draft"
	mv -T "$draft" "$2"
}

same() {
	[[ -f $2 && ! -L $2 && $(stat -c '%a %U %G' "$2") == "$3 $4 $5" ]] && cmp -s "$1" "$2"
}

in_container() {
	[[ -n ${CONTAINER:=$(systemd-detect-virt --container || true)} && $CONTAINER != none ]]
}

# reported WHAT COMMAND...: a failure is told with what the command and its units said.
reported() {
	local what=$1 output
	shift
	output=$("$@" 2>&1) || fail "$what ($*): $output
$(journalctl --no-pager --quiet --lines 15 --priority warning 2>/dev/null || true)" \
		"the host would not be as described" "put right what is said above; the next run goes on from here"
}

changed() {
	echo "changed $1"
}

fail() {
	printf '%s\n  why it matters: %s\n  how to fix it: %s\n' "$1" "$2" "$3" >&2
	exit 1
}

main "$@"
