# The hub's side of the mesh, run as root on it. Headscale runs in the container with the label SERVICE.
#   mesh_hub.sh publish SERVICE DIRECTORY STACK    a stack's part as JSON on stdin: {"policy": {...}, "records": {name: host}}
#   mesh_hub.sh withdraw SERVICE DIRECTORY STACK   takes the part out again
#   mesh_hub.sh key      SERVICE TAG [--ephemeral]   prints a pre-auth key: single use, ten minutes; an ephemeral member is
#                                              forgotten when it has been away for a while
#   mesh_hub.sh member   SERVICE NAME          prints "absent", "expired", or the member's node key
#   mesh_hub.sh renew    SERVICE NAME          lets an expired member in again: nothing is to be done on the member
#   mesh_hub.sh admitted SERVICE DIRECTORY NAME TAG   waits until the member is online, and resolves the names that lead to it
#   mesh_hub.sh forget   SERVICE DIRECTORY NAME    removes a member
# Each stack owns one part; whoever publishes merges all parts, one at a time.
# DIRECTORY is root's own and mounted read-only into Headscale at MOUNTED: what root writes, no container may replace by a link.
set -euo pipefail

MOUNTED=/var/lib/headscale-mesh

drafts=()

main() {
	local action=$1 service=$2
	shift 2
	exec 9>/run/lock/vpai-mesh
	flock -w 120 9
	trap 'rm -f "${drafts[@]}"' EXIT
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
	local service=$1 directory=$2 stack=$3 part
	owned "$directory"
	part=$(mktemp "$directory/parts/.draft.XXXXXX")
	drafts+=("$part")
	cat >"$part"
	jq -e '.policy.acls and .records' "$part" >/dev/null
	merge "$service" "$directory" "$stack" "$part"
}

withdraw() {
	owned "$2"
	rm -f "$2/parts/$3.part"
	if compgen -G "$2/parts/*.part" >/dev/null; then merge "$1" "$2"; fi
}

# What another user may write to is no place for root's files.
owned() {
	local path
	install -d -m 0755 "$1"
	install -d -m 0700 "$1/parts"
	for path in "$1" "$1/parts"; do
		if [[ -L $path || $(stat -c %u "$path") != "$EUID" ]]; then
			echo "$path is a link or another user owns it, so root writes nothing there; look at it, then remove it" >&2
			exit 1
		fi
	done
}

# merge SERVICE DIRECTORY [STACK DRAFT]: with the draft in the place of the stack's part.
# Headscale judges the policy before anything is put in force; part and policy stay as they were when it is refused.
merge() {
	local service=$1 directory=$2 stack=${3:-} draft=${4:-} container nodes='[]' said policy records parts=() part
	for part in "$directory"/parts/*.part; do
		if [[ -e $part && $part != "$directory/parts/$stack.part" ]]; then parts+=("$part"); fi
	done
	if [[ -n $draft ]]; then parts+=("$draft"); fi
	container=$(running "$service")
	policy=$(mktemp "$directory/.policy.XXXXXX")
	records=$(mktemp "$directory/.records.XXXXXX")
	drafts+=("$policy" "$records")
	jq -s '{tagOwners: (map(.policy.tagOwners) | add), acls: (map(.policy.acls) | add)}' "${parts[@]}" >"$policy"
	# Nothing in them is secret, and Headscale is not root.
	chmod 0644 "$policy" "$records"
	if [[ -n $container ]]; then
		if ! said=$(docker exec "$container" headscale policy check --file "$MOUNTED/${policy##*/}" 2>&1); then
			printf 'Headscale refuses the policy; the old one stays in force.\n%s\n' "$said" >&2
			exit 1
		fi
		nodes=$(docker exec "$container" headscale nodes list -o json)
	fi
	jq -s --argjson nodes "${nodes:-[]}" '
		($nodes // [] | map({key: .given_name, value: (.ip_addresses[] | select(contains(":") | not))}) | from_entries) as $addresses
		| map(.records) | add // {} | to_entries
		| map(select($addresses[.value])) | map({name: .key, type: "A", value: $addresses[.value]}) | sort_by(.name)
	' "${parts[@]}" >"$records"
	if [[ -n $draft ]]; then mv -T "$draft" "$directory/parts/$stack.part"; fi
	if replace "$policy" "$directory/policy.json" && [[ -n $container ]]; then reload "$container"; fi
	replace "$records" "$directory/records.json" || true
}

# Not by `docker kill`: Docker takes a container that it signalled for one stopped by hand, and "unless-stopped" leaves it down
# after the next restart of the host (moby issue 41302).
reload() { kill -HUP "$(docker inspect -f '{{.State.Pid}}' "$1")"; }

replace() {
	if cmp -s "$1" "$2"; then return 1; fi
	mv -T "$1" "$2"
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
	local service=$1 directory=$2 name=$3 tag=$4 deadline=$((SECONDS + 30)) id
	until [[ $(node "$service" "$name" | jq -r .online) == true ]]; do
		if ((SECONDS > deadline)); then
			echo "$name has not come online in the mesh within 30 s; look at its journal: journalctl -u tailscaled" >&2
			exit 1
		fi
		sleep 0.3
	done
	id=$(node "$service" "$name" | jq -r --arg tag "$tag" 'select(.tags != [$tag]) | .id')
	if [[ -n $id ]]; then headscale "$service" nodes tag --identifier "$id" --tags "$tag" >/dev/null; fi
	merge "$service" "$directory"
}

forget() {
	local service=$1 directory=$2 name=$3
	if [[ -z $(running "$service") ]]; then return 0; fi
	node "$service" "$name" | jq -r .id | while read -r id; do
		headscale "$service" nodes delete --identifier "$id" --force >/dev/null
	done
	merge "$service" "$directory"
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
