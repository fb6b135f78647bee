#!/bin/sh
# debootstrap.sh SUITE PACKAGES TAG: import a minimal Debian as the image TAG. Runs as root.
set -eu
suite=$1 packages=$2 tag=$3
root=$(mktemp -d /var/tmp/vpai-lab-debian.XXXXXX)
trap 'rm -rf --one-file-system "$root"' EXIT
trap 'exit 130' INT TERM
# sid's script fits every later suite, also where debootstrap does not know the suite yet.
debootstrap --variant=minbase --include="$packages" "$suite" "$root" '' /usr/share/debootstrap/scripts/sid >"$root.log" 2>&1 || {
    tail -n 20 "$root.log" >&2
    exit 1
}
rm -f "$root.log"
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
tar --numeric-owner --one-file-system -C "$root" -c . | docker import - "$tag" >/dev/null
