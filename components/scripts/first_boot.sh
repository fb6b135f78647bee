# Returns when a machine has configured itself at its first boot; one without cloud-init has nothing to wait for.
set -euo pipefail

code=0
if command -v cloud-init >/dev/null; then
	cloud-init status --wait >/dev/null || code=$?
	# 2: done, with something that it could recover from.
	if ((code == 1)); then cloud-init status --long >&2; fi
fi
exit $((code == 1))
