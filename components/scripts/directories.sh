# Data directories of a service. Runs as root: directories.sh apply|remove DELETE_DATA [OWNER MODE PATH]...
# Existing data keeps its content; owner and mode of the directory itself are put right.
set -euo pipefail

main() {
	local action=$1 delete_data=$2
	shift 2
	while (($# >= 3)); do
		local owner=$1 mode=$2 path=$3
		shift 3
		if [[ $action == apply ]]; then
			install -d -m 0755 "$(dirname "$path")"
			install -d -m "$mode" -o "${owner%:*}" -g "${owner#*:}" "$path"
		elif [[ $delete_data == true ]]; then
			rm -rf -- "$path"
			echo "deleted $path" >&2
		else
			echo "kept $path (vpai:deleteData is not set)" >&2
		fi
	done
}

main "$@"
