#!/bin/sh
# Builds what SCF runs: dist/ci-callback.zip, with one static linux/amd64 executable `main` at its root, and the same
# as a folder, dist/function/, which serverless.yml and template.yaml upload.
#
#   scripts/build.sh
#   VERSION=v1.2.3 scripts/build.sh     where git cannot name the version, as in an unpacked source archive
#
# A commit built twice with the same Go release gives the same bytes, wherever it is built and whatever the builder's
# environment: that is how anyone can check that a deployed zip came from a commit. Needs the Go toolchain, git and a
# POSIX shell, nothing else.
set -eu

die() {
	printf 'build: %s\n' "$1" >&2
	exit 1
}

if [ $# -ne 0 ]; then
	printf 'usage: scripts/build.sh\n       VERSION=NAME scripts/build.sh\n' >&2
	exit 2
fi

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
cd "$root"

# version_from_git prints the version of this checkout: its tag, or tag, distance and commit, or the commit alone.
version_from_git() {
	unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE # those of another repository, as a hook of it leaves them
	command -v git >/dev/null 2>&1 ||
		die 'git is not on PATH. Install it, or name the version yourself: VERSION=v1.2.3 scripts/build.sh'
	# A source archive may lie inside some other checkout, whose commits say nothing about this code. What git itself has
	# to say is shown: it is the only hint at a checkout that belongs to another user.
	if ! prefix=$(git rev-parse --show-prefix) || [ -n "$prefix" ]; then
		die "$root is not a git checkout of its own. Name the version yourself: VERSION=v1.2.3 scripts/build.sh"
	fi
	# Twelve digits, as git's own choice grows with the number of objects and so differs between clones.
	described=$(git --no-optional-locks describe --tags --always --dirty --abbrev=12) ||
		die 'git cannot describe this checkout (above). Name the version yourself: VERSION=v1.2.3 scripts/build.sh'
	# Git calls a checkout clean while a new file waits to be added, or is ignored; the compiler would take it all the same.
	case $described in
	*-dirty) ;;
	*)
		new=$(git ls-files --others -- 'function/*.go' 'function/*.s' 'pkg/*.go' 'pkg/*.s' 'internal/*.go' 'internal/*.s')
		[ -z "$new" ] || described=$described-dirty
		;;
	esac
	printf '%s\n' "$described"
}

command -v go >/dev/null 2>&1 || die 'go is not on PATH. Install Go 1.26 or later: https://go.dev/doc/install'

if [ -n "${VERSION:-}" ]; then
	version=$VERSION
else
	version=$(version_from_git)
fi
# It goes into a linker flag, a JSON answer and a log line: nothing in it may need quoting.
case $version in
*[!A-Za-z0-9._+-]*) die "the version '$version' may hold only letters, digits and . _ + -" ;;
esac

# What the builder has set for other work (in the environment, or with `go env -w`) must not reach the compiler.
# Go takes an empty variable for an unset one, hence a value in each. -mod=readonly: go would take a vendor folder by
# itself, with or without changes, and the bytes would be others.
export GOFLAGS=-mod=readonly GO111MODULE=on GOWORK=off GOFIPS140=off CGO_ENABLED=0
unset GOEXPERIMENT
[ -z "$(go env GOEXPERIMENT)" ] ||
	die 'GOEXPERIMENT is set with go env -w and would change the bytes. Unset it: go env -u GOEXPERIMENT'

# What is left from before must not be taken for this build if it fails, nor be uploaded with it if it does not.
rm -rf dist/function dist/ci-callback.zip
mkdir -p dist/function

# -trimpath and -buildid= keep this machine's paths out of the executable; without -s -w it would be half as large again.
GOOS=linux GOARCH=amd64 GOAMD64=v1 go build \
	-trimpath -buildvcs=false \
	-ldflags "-s -w -buildid= -X main.version=$version" \
	-o dist/function/main ./function
chmod 0755 dist/function/main # the uploader keeps the x bit, and the platform cannot start the file without it

packed=$(GOOS=$(go env GOHOSTOS) GOARCH=$(go env GOHOSTARCH) go run ./scripts/zip -o dist/ci-callback.zip dist/function/main)

printf 'version  %s\n' "$version"
printf 'go       %s\n' "$(go env GOVERSION)"
printf 'zip      %s\n' "$packed"
printf 'folder   dist/function/main\n'
