# The hub's side of the mesh, run as root on it. Headscale runs in the container with the label SERVICE.
#   mesh_hub.sh publish SERVICE PARTS STACK    a stack's part as JSON on stdin: {"policy": {...}, "records": {name: host}}
#   mesh_hub.sh withdraw SERVICE PARTS STACK   takes the part out again
#   mesh_hub.sh key      SERVICE TAG [--ephemeral]   prints a pre-auth key: single use, ten minutes; an ephemeral member is
#                                              forgotten when it has been away for a while
#   mesh_hub.sh member   SERVICE NAME          prints "absent", "expired", or the member's node key
#   mesh_hub.sh renew    SERVICE NAME          lets an expired member in again: nothing is to be done on the member
#   mesh_hub.sh admitted SERVICE PARTS NAME TAG   waits until the member is online, and resolves the names that lead to it
#   mesh_hub.sh forget   SERVICE PARTS NAME    removes a member
# Each stack owns one part; whoever publishes merges all parts, one at a time.
set -euo pipefail

main() {
	local action=$1 service=$2
	shift 2
	exec 9>/run/lock/vpai-mesh
	flock -w 120 9
	case $action in
	publish) publish "$service" "$@" ;;
	withdraw) withdraw "$service" "$@" ;;
	key) key "$service" "$@" ;;
	member) member "$service" "$1" ;;
	renew) renew "$service" "$1" ;;
	admitted) admitted "$service" "$@" ;;
	forget) forget "$service" "$@" ;;
	esac
}

publish() {
	local service=$1 parts=$2 stack=$3
	install -d -m 0700 "$(dirname "$parts")" "$parts"
	cat >"$parts/.$stack.draft"
	jq -e '.policy.acls and .records' "$parts/.$stack.draft" >/dev/null
	if [[ -e $parts/$stack.part ]]; then cp "$parts/$stack.part" "$parts/.$stack.old"; fi
	mv "$parts/.$stack.draft" "$parts/$stack.part"
	if ! merge "$service" "$parts"; then
		if [[ -e $parts/.$stack.old ]]; then mv "$parts/.$stack.old" "$parts/$stack.part"; else rm "$parts/$stack.part"; fi
		exit 1
	fi
	rm -f "$parts/.$stack.old"
}

withdraw() {
	rm -f "$2/$3.part"
	if compgen -G "$2/*.part" >/dev/null; then merge "$1" "$2"; fi
}

# Headscale judges the policy before it is put in force; the old one stays when it is refused.
merge() {
	local service=$1 parts=$2 container nodes='[]' said
	container=$(running "$service")
	jq -s '{tagOwners: (map(.policy.tagOwners) | add), acls: (map(.policy.acls) | add)}' "$parts"/*.part >"$parts/.policy.json"
	if [[ -n $container ]]; then
		if ! said=$(docker exec "$container" headscale policy check --file /var/lib/headscale/parts/.policy.json 2>&1); then
			printf 'Headscale refuses the policy; the old one stays in force.\n%s\n' "$said" >&2
			return 1
		fi
		nodes=$(docker exec "$container" headscale nodes list -o json)
	fi
	jq -s --argjson nodes "${nodes:-[]}" '
		($nodes // [] | map({key: .given_name, value: (.ip_addresses[] | select(contains(":") | not))}) | from_entries) as $addresses
		| map(.records) | add // {} | to_entries
		| map(select($addresses[.value])) | map({name: .key, type: "A", value: $addresses[.value]}) | sort_by(.name)
	' "$parts"/*.part >"$parts/.records.json"
	if replace "$parts" policy.json && [[ -n $container ]]; then reload "$container"; fi
	replace "$parts" records.json || true
}

# Not by `docker kill`: Docker takes a container that it signalled for one stopped by hand, and "unless-stopped" leaves it down
# after the next restart of the host (moby issue 41302).
reload() { kill -HUP "$(docker inspect -f '{{.State.Pid}}' "$1")"; }

replace() {
	if cmp -s "$1/.$2" "$1/$2"; then
		rm "$1/.$2"
		return 1
	fi
	mv "$1/.$2" "$1/$2"
}

key() {
	headscale "$1" preauthkeys create --tags "$2" --expiration 10m "${@:3}" -o json | jq -re .key
}

# The hub alone knows who is a member: one that was removed goes on saying that it is in (lab, Headscale 0.28).
member() {
	node "$1" "$2" | jq -rs 'if length == 0 then "absent"
		elif (.[0].expiry.seconds // null) != null and .[0].expiry.seconds > 0 and .[0].expiry.seconds < now then "expired"
		else .[0].node_key end'
}

# A tagged member that logs in again would get another address and another name; the hub can let it in as it is.
renew() {
	local id
	id=$(node "$1" "$2" | jq -r .id)
	headscale "$1" nodes expire --identifier "$id" --expiry "$(date -u -d '+10 years' +%Y-%m-%dT%H:%M:%SZ)" >/dev/null
}

admitted() {
	local service=$1 parts=$2 name=$3 tag=$4 deadline=$((SECONDS + 30)) id
	until [[ $(node "$service" "$name" | jq -r .online) == true ]]; do
		if ((SECONDS > deadline)); then
			echo "$name has not come online in the mesh within 30 s; look at its journal: journalctl -u tailscaled" >&2
			exit 1
		fi
		sleep 0.3
	done
	id=$(node "$service" "$name" | jq -r --arg tag "$tag" 'select(.tags != [$tag]) | .id')
	if [[ -n $id ]]; then headscale "$service" nodes tag --identifier "$id" --tags "$tag" >/dev/null; fi
	merge "$service" "$parts"
}

forget() {
	local service=$1 parts=$2 name=$3
	if [[ -z $(running "$service") ]]; then return 0; fi
	node "$service" "$name" | jq -r .id | while read -r id; do
		headscale "$service" nodes delete --identifier "$id" --force >/dev/null
	done
	merge "$service" "$parts"
}

node() { headscale "$1" nodes list -o json | jq -c --arg name "$2" '.[]? | select(.given_name == $name)'; }

headscale() {
	local container
	container=$(running "$1")
	if [[ -z $container ]]; then
		echo "no Headscale runs here (label $1), so the mesh knows nobody" >&2
		exit 1
	fi
	docker exec "$container" headscale "${@:2}"
}

running() { docker ps -q --filter "label=$1" | head -n 1; }

main "$@"
