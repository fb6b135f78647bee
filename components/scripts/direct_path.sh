# Refuse when this machine reaches HOST, the mesh's hub, through the relay that the hub itself is: direct_path.sh HOST
# Runs on the runner, before the hub's Headscale or Caddy is replaced: without them the path, and with it the deployment that
# would start them again, is gone.
set -euo pipefail

main() {
	local host=$1 said
	# Whoever is no member has no path to lose; nor has one whose hub is down already, and must be fixed.
	if [[ $(timeout 5 tailscale status --json 2>/dev/null | jq -r .BackendState) != Running ]]; then return 0; fi
	if said=$(timeout 20 tailscale ping --c 8 --timeout 2s "$host" 2>&1) || [[ $said != *"via DERP"* ]]; then return 0; fi
	cat >&2 <<-END
		this machine reaches $host only through the relay on $host itself, and this would replace Headscale or Caddy there.
		Why: the path would be gone before the new ones run, with nobody left to start them.
		How to fix it: let UDP pass between this machine and port 41641 of $host (its firewall, the provider's panel,
		this machine's own network), or deploy from another member whose path is direct.
		Test it with: tailscale ping $host   # must say "via ADDRESS:PORT", not "via DERP"
		It said: ${said%%$'\n'*}
	END
	return 1
}

main "$@"
