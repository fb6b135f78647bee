# A member's side of the mesh. Runs as root on the member, or on the runner itself:
#   mesh_member.sh identity                        prints its node key in the mesh, or why it has none; changes nothing
#   mesh_member.sh join LOGIN_SERVER NAME FLAGS... the pre-auth key on stdin
#   mesh_member.sh leave
set -euo pipefail

main() {
	local action=$1
	shift
	case $action in
	identity) identity ;;
	join) join "$@" ;;
	leave) tailscale logout >&2 || true ;;
	esac
}

identity() {
	timeout 5 tailscale status --json 2>/dev/null | jq -re 'if .BackendState == "Running" then .Self.PublicKey else .BackendState end' ||
		echo "tailscaled does not answer"
}

join() {
	local login_server=$1 name=$2 key
	shift 2
	key=$(mktemp /run/vpai-key.XXXXXX)
	# shellcheck disable=SC2064 # the file's name is known now
	trap "rm -f '$key'" EXIT
	cat >"$key"
	if [[ -d /run/systemd/system ]]; then systemctl enable --now --quiet tailscaled; fi
	# Without a deadline it waits for ever when the hub does not answer.
	tailscale up --reset --force-reauth --login-server "$login_server" --authkey "file:$key" --hostname "$name" --timeout 60s "$@" >&2
}

main "$@"
