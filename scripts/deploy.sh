#!/bin/sh
# Builds the function, deploys it with serverless.yml, asks it from outside whether it is there, and prints the callback
# URL to enter in CI.
#
#   scripts/deploy.sh             check, build, deploy, ask
#   scripts/deploy.sh --dry-run   check, and say what would be done; builds and deploys nothing
#
# It says "deployed" only after the URL has answered with the version that was just built, and has taken the token that
# was just set. What the CLI says does not prove it: the CLI ends with status 0 where its login failed or timed out, and
# where the platform refused to change a trigger.
#
# Everything comes from the environment, as the README's table says, and these two, which only the deployment needs:
#
#   FUNCTION_REGION   where the function runs, such as ap-guangzhou; RECORD_REGION if that is set
#   FUNCTION_ROLE     the execution role, whose permissions the function has on COS
#
# No token and no key is printed, handed to another program as an argument, or written to a file. Needs what build.sh needs.
set -euf

# How long the URL is asked until it answers as it should: the platform needs some seconds to exchange the code.
patience=2m

usage() {
	printf 'usage: scripts/deploy.sh [--dry-run]\n'
}

problems=0
problem() {
	problems=$((problems + 1))
	printf 'deploy: %s\n' "$1" >&2
}

note() {
	printf 'deploy: note: %s\n' "$1" >&2
}

dry_run=
for argument; do
	case $argument in
	--dry-run) dry_run=yes ;;
	-h | --help)
		usage
		exit 0
		;;
	*)
		printf 'deploy: unknown argument: %s\n' "$argument" >&2
		usage >&2
		exit 2
		;;
	esac
done

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
cd "$root"

# The function's own variables: those that serverless.yml takes from the environment under their own names.
# shellcheck disable=SC2016 # the dollar is serverless.yml's
settings=$(sed -n 's/^ *\([A-Z][A-Z0-9_]*\): ${env:\1}.*/\1/p' serverless.yml)

# The function's name, which is another one for a second function.
function_name=$(sed -n '/^inputs:/,$s/^  name: *\([A-Za-z0-9_-]*\).*/\1/p' serverless.yml)

# value_of leaves the value of the variable named $1 in value, which is empty where it is unset.
value_of() {
	eval "value=\${$1:-}"
}

check_settings() {
	for name in $settings FUNCTION_REGION FUNCTION_ROLE; do
		# The CLI would deploy an empty variable as an empty value; unset, the function takes its default.
		value_of "$name"
		[ -n "$value" ] || unset "$name"
	done
	: "${FUNCTION_REGION:=${RECORD_REGION:-}}"
	export FUNCTION_REGION

	[ -n "$function_name" ] || problem 'serverless.yml gives the function no name: write it under inputs, as name: ci-callback'
	check_env_files
	for name in TENCENT_SECRET_ID TENCENT_SECRET_KEY; do
		value_of "$name"
		case $value in
		*…* | *'<'*) problem "$name is a placeholder of the README: set it to a key of your own" ;;
		esac
	done
	[ -z "${CALLBACK_AUTH:-}" ] || [ -z "${CALLBACK_TOKEN:-}" ] || problem 'CALLBACK_AUTH and CALLBACK_TOKEN are both set: unset the one you do not want'
	if ! command -v go >/dev/null 2>&1; then
		problem 'go is not on PATH. Install Go 1.26 or later: https://go.dev/doc/install'
	elif ! doctor -settings; then
		problem 'a setting is wrong (above)'
	fi
}

# doctor runs scripts/doctor, which knows the function's own rules; as in build.sh, without what the builder has set for
# other work.
doctor() {
	GOFLAGS=-mod=readonly GO111MODULE=on GOWORK=off GOOS=$(go env GOHOSTOS) GOARCH=$(go env GOHOSTARCH) \
		go run ./scripts/doctor "$@"
}

# check_env_files refuses a setting that only a .env file holds: the CLI reads the first one that there is, here or up to
# two folders above (https://github.com/Serverlesstencent/serverless-cloud-framework, src/libs/config.js), so the setting
# would be deployed without having been checked.
check_env_files() {
	for file in ./.env.prod ./.env ../.env.prod ../.env ../../.env.prod ../../.env; do
		[ -f "$file" ] || continue
		for name in $settings; do
			value_of "$name"
			[ -z "$value" ] || continue
			if grep -Eq "^[[:space:]]*(export[[:space:]]+)?${name}[[:space:]]*=" "$file"; then
				problem "$name is set in $file but not in the environment. Load the file first: set -a; . $file; set +a"
			fi
		done
		return 0
	done
}

# find_cli sets cli to the command that deploys: serverless-cloud-framework 1.2.0 or later, the first that knows function
# URLs (https://cloud.tencent.com/document/product/1154/42990), by whichever of its names it is installed. Other programs
# go by those names: the old scf CLI from pip (`scf`), and the Serverless Framework (`serverless`, `sls`), which dropped
# Tencent in 3.27 (https://github.com/serverless/serverless/issues/11658).
cli=
find_cli() {
	for candidate in serverless-cloud-framework scf serverless sls; do
		found=$(command -v "$candidate") || continue
		if is_framework "$found"; then
			cli=$found
			return
		fi
	done
	problem "no CLI to deploy with. Install Node.js, then: npm install --global serverless-cloud-framework
        It brings the commands scf and serverless-cloud-framework; the second stays itself where pip's scf comes first on PATH.
        Without it: scripts/build.sh, then upload dist/ci-callback.zip in the SCF console and create the function URL there"
}

# is_framework asks the program $1 what it is, and says why where it will not do.
is_framework() {
	said=$("$1" --version 2>&1 </dev/null | LC_ALL=C tr '[:upper:]' '[:lower:]')
	case $said in
	*serverless-cloud-framework*version:\ 0.* | *serverless-cloud-framework*version:\ 1.[01].*)
		note "$1 is a serverless-cloud-framework before 1.2.0, which knows no function URL; passed over. Bring it up to date: npm update --global serverless-cloud-framework"
		;;
	*serverless-cloud-framework*) return 0 ;;
	*'scf cli'*) note "$1 is the old scf CLI from pip, which knows no function URL; passed over" ;;
	*tencent*) note "$1 is an earlier Tencent CLI, which knows no function URL; passed over" ;;
	*) note "$1 is not Tencent's serverless-cloud-framework; passed over" ;;
	esac
	return 1
}

# hide replaces $2 by *** wherever it stands in $1, and leaves the result in hidden. In the shell itself, as another
# program's arguments are for every user of the machine to read.
hide() {
	hidden=
	rest=$1
	while :; do
		case $rest in
		*"$2"*)
			hidden=$hidden${rest%%"$2"*}'***'
			rest=${rest#*"$2"}
			;;
		*) break ;;
		esac
	done
	hidden=$hidden$rest
}

# secrets prints every secret of the environment, the longest first: one may begin with another.
secrets() {
	IFS=,
	for secret in ${CALLBACK_TOKEN:-} "${TENCENT_SECRET_ID:-}" "${TENCENT_SECRET_KEY:-}" "${TENCENT_TOKEN:-}" \
		"${TENCENTCLOUD_SECRETID:-}" "${TENCENTCLOUD_SECRETKEY:-}" "${TENCENTCLOUD_SESSIONTOKEN:-}"; do
		secret=${secret#"${secret%%[![:space:]]*}"} # tokens may have blanks between them
		secret=${secret%"${secret##*[![:space:]]}"}
		[ -z "$secret" ] || printf '%s %s\n' "${#secret}" "$secret"
	done | sort -rn | cut -d ' ' -f 2-
}

# without_secrets copies its input line by line, every secret of the environment replaced: what the CLI prints is
# beyond this script, and deployment logs are kept and passed around. A secret is known as it stands in the environment
# alone: one of letters and digits, as `openssl rand -hex` makes them, has no other form in JSON or a URL.
without_secrets() {
	known=$(secrets)
	while IFS= read -r line || [ -n "$line" ]; do
		IFS='
'
		for secret in $known; do
			hide "$line" "$secret"
			line=$hidden
		done
		printf '%s\n' "$line"
	done
}

# public_url prints the public address that stands in the CLI's output: a function URL of the present or of the 2023
# form, or an API gateway's. The private ones carry "in" in the name. Bytes, not characters: macOS's tr and sed stop at
# what is not text in the locale.
public_url() {
	LC_ALL=C tr -d '\134' <"$1" | LC_ALL=C tr -c 'A-Za-z0-9:/._-' '\n' |
		sed -n 's|^.*\(https://[^/]*\.tencentscf\.com\)|\1|p
			s|^.*\(https://[^/]*\.scf\.tencentcs\.com\)|\1|p
			s|^.*\(https://[^/]*\.apigw\.tencentcs\.com\)|\1|p' |
		sed -e '/\.in\.[^/]*\.tencentscf\.com/d' -e '/-in\.scf\.tencentcs\.com/d' -e 's|[./]*$||' |
		sed -n 1p
}

check_settings
find_cli
if [ "$problems" -gt 0 ]; then
	printf 'deploy: nothing was built or deployed\n' >&2
	exit 1
fi
printf 'function  %s in %s, role %s\n' "$function_name" "$FUNCTION_REGION" "$FUNCTION_ROLE"

if [ -n "$dry_run" ]; then
	printf 'would run, in %s:\n  scripts/build.sh\n  %s deploy\n' "$root" "$cli"
	exit 0
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/ci-callback.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# give_up says why nothing is called deployed, and what to do.
give_up() {
	printf '\ndeploy: %s\n' "$1" >&2
	exit 1
}

# logged runs a command, shows what it says without the secrets, and keeps it in the file $1 as well. Its status goes by
# way of another file, as a POSIX shell reports only the last command of a pipeline.
logged() {
	log=$1
	shift
	{
		status=0
		"$@" 2>&1 || status=$?
		printf '%s\n' "$status" >"$work/status"
	} | without_secrets | tee "$log"
	return "$(cat "$work/status")"
}

# names_function tells whether the CLI's output $1 names the function, as it does when it has deployed one.
names_function() {
	escape=$(printf '\033')
	LC_ALL=C sed "s/$escape\[[0-9;]*m//g" "$1" | LC_ALL=C grep -Eq "functionName[^A-Za-z0-9]+$function_name([^A-Za-z0-9_-]|\$)"
}

logged "$work/build" scripts/build.sh || exit $?
version=$(sed -n 's/^version  //p' "$work/build")
[ -n "$version" ] || give_up 'scripts/build.sh names no version, by which the deployed function could be known'

if [ -z "${TENCENT_SECRET_ID:-}" ] || [ -z "${TENCENT_SECRET_KEY:-}" ]; then
	note 'TENCENT_SECRET_ID and TENCENT_SECRET_KEY are not set: the CLI takes its stored credentials, or shows a QR code to
        log in with and writes the temporary key to .env in this folder. Never commit that file. What it prints comes line
        by line: a question that waits for an answer on its own line is not seen until it is answered'
fi

logged "$work/output" "$cli" deploy || give_up "$cli deploy failed with status $? (above). Run this again once that is mended"
names_function "$work/output" || give_up 'nothing was deployed: the CLI ended well, but its output (above) names no function.
        Most often the login failed or timed out. Set TENCENT_SECRET_ID and TENCENT_SECRET_KEY to a key that may deploy, or
        log in with the CLI itself, and run this again'

url=$(public_url "$work/output")
[ -n "$url" ] || give_up 'the function was deployed, but the output above names no public URL, so that CI cannot reach it.
        Look in the SCF console: the function, then "Function URL"; create one there if there is none (public access, open),
        and see that it answers: go run ./scripts/doctor -url https://...'

printf '\nasking %s/ for version %s:\n' "$url" "$version"
doctor -url "$url/" -deployed "$version" -timeout "$patience" || give_up "the CLI says it has deployed, but what answers at $url/ (above) is not as it should be.
        The CLI passes over a trigger that the platform refuses to change. Look at the function and its Function URL in the
        SCF console, then ask again: go run ./scripts/doctor -url $url/ -deployed $version"

query='?token=<your token>'
[ "${CALLBACK_AUTH:-}" != none ] || query=
printf '\ndeployed. The callback URL, to enter in CI:\n\n  %s/%s\n\nTo see what its role may do:\n\n  go run ./scripts/doctor -url %s/ -role\n' "$url" "$query" "$url"
