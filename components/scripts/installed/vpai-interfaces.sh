#!/bin/bash
# Docker's bridges keep no interface of a container that has ended: vpai-interfaces (by vpai-interfaces.path, as containers start)
# Docker 26 forgets some of them when it is restarted under running containers (docs/adr/0027); what Docker removes itself is
# gone before this looks.
set -euo pipefail

main() {
	# What happens while this runs does not start it anew.
	for pause in 0 1 2; do
		sleep "$pause"
		sweep
	done
}

sweep() {
	local interfaces living interface namespace
	# In this order: whose interface is there has a process by then, or has ended.
	interfaces=$(ip -o link show type veth |
		sed -n 's/^[0-9]*: \([^@]*\)@.* master br-.* link-netnsid \([0-9]*\).*/\1 \2/p')
	living=$(lsns --noheadings --type net --output NETNSID,NPROCS | awk '$2 > 0 {printf " %s ", $1}')
	while read -r interface namespace; do
		if [[ -n $interface && $living != *" $namespace "* ]] && ip link delete "$interface"; then
			echo "removed $interface: its container has ended"
		fi
	done <<<"$interfaces"
}

main "$@"
