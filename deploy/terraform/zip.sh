#!/bin/sh
# Builds the function's zip, names it after its contents, and tells Terraform the name, in
# zip.auto.tfvars: the provider compares the name alone, so that new contents under an old
# name would never be deployed.
#
#   deploy/terraform/zip.sh
#   VERSION=v1.2.3 deploy/terraform/zip.sh     where git cannot name the version
#
# The same commit and Go release give the same name, and Terraform then has nothing to do.
# Needs what scripts/build.sh needs.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P)
cd "$root"

built=$(scripts/build.sh)
printf '%s\n' "$built"

hash=$(printf '%s\n' "$built" | sed -n 's/^zip  *dist\/ci-callback\.zip .*sha256 \([0-9a-f]\{16\}\)[0-9a-f]\{48\}$/\1/p')
if [ -z "$hash" ]; then
	printf 'zip: scripts/build.sh names no SHA-256 of dist/ci-callback.zip (above)\n' >&2
	exit 1
fi

name=ci-callback-$hash.zip
rm -f dist/ci-callback-????????????????.zip
mv dist/ci-callback.zip "dist/$name"
printf 'zip_file = "../../dist/%s"\n' "$name" >deploy/terraform/zip.auto.tfvars
printf 'named    dist/%s, in deploy/terraform/zip.auto.tfvars\n' "$name"
