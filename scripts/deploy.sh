#!/bin/sh
# Builds the function and deploys it with serverless.yml, then prints the callback URL to enter in CI.
#
#   scripts/deploy.sh             build, check, deploy
#   scripts/deploy.sh --dry-run   check, and say what would be done; builds nothing, calls no CLI
#
# Everything comes from the environment, as the README's table says, and these two, which only the deployment needs:
#
#   FUNCTION_REGION   where the function runs, such as ap-guangzhou; RECORD_REGION if that is set
#   FUNCTION_ROLE     the execution role, whose permissions the function has on COS
#
# No token and no key is printed, handed to another program as an argument, or written to a file.
set -euf

# The function's own variables, those of serverless.yml.
settings='RECORD_BUCKET RECORD_REGION RECORD_PREFIX CALLBACK_TOKEN CALLBACK_AUTH TAG_MD5 MD5_TAG_KEY TAG_BUCKETS COS_ENDPOINT MAX_BODY_BYTES LOG_LEVEL'

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

# value_of prints the value of the variable named $1, nothing where it is unset.
value_of() {
	eval "printf '%s' \"\${$1:-}\""
}

check_settings() {
	for name in $settings FUNCTION_REGION FUNCTION_ROLE; do
		# The CLI would deploy an empty variable as an empty value; unset, the function takes its default.
		[ -n "$(value_of "$name")" ] || unset "$name"
	done
	: "${FUNCTION_REGION:=${RECORD_REGION:-}}"
	export FUNCTION_REGION

	check_env_files

	appid=${RECORD_BUCKET:-}
	appid=${appid##*-}
	if [ -z "${RECORD_BUCKET:-}" ]; then
		problem 'RECORD_BUCKET is not set: the bucket for the records, <name>-<appid>, such as examplebucket-1250000000'
	elif [ "$appid" = "$RECORD_BUCKET" ] || [ -z "${appid##*[!0-9]*}" ]; then
		problem "RECORD_BUCKET=$RECORD_BUCKET does not end in -<appid>: the console shows the full name, such as examplebucket-1250000000"
	fi
	[ -n "$FUNCTION_REGION" ] || problem 'FUNCTION_REGION is not set: where the function runs, such as ap-guangzhou; best where the records are'
	[ -n "${FUNCTION_ROLE:-}" ] || problem 'FUNCTION_ROLE is not set: the name of the execution role. Without one the function gets no credentials for COS'
	check_authentication
	check_size
}

# check_env_files refuses a setting that only a .env file holds: the CLI reads those of its stage by itself, here and up
# to two folders above (https://github.com/Serverlesstencent/serverless-cloud-framework, src/libs/config.js), so the setting
# would be deployed without having been checked.
check_env_files() {
	for file in ./.env ./.env.prod ../.env ../.env.prod ../../.env ../../.env.prod; do
		[ -f "$file" ] || continue
		for name in $settings; do
			[ -z "$(value_of "$name")" ] || continue
			if grep -Eq "^[[:space:]]*(export[[:space:]]+)?${name}[[:space:]]*=" "$file"; then
				problem "$name is set in $file but not in the environment. Load the file first: set -a; . $file; set +a"
			fi
		done
	done
}

tokens=0
check_authentication() {
	if [ -n "${CALLBACK_AUTH:-}" ]; then
		case $CALLBACK_AUTH in
		none) ;;
		*) problem 'CALLBACK_AUTH may only be "none", or unset' ;;
		esac
		[ -z "${CALLBACK_TOKEN:-}" ] || problem 'CALLBACK_AUTH and CALLBACK_TOKEN are both set: unset the one you do not want'
		return
	fi
	if [ -z "${CALLBACK_TOKEN:-}" ]; then
		problem 'CALLBACK_TOKEN is not set: the secret of the callback URL, at least 16 characters, such as the output of: openssl rand -hex 16'
		return
	fi
	encode=
	kept= # as the function reads them: trimmed, empty ones passed over
	old_ifs=$IFS
	IFS=,
	for token in $CALLBACK_TOKEN; do
		token=${token#"${token%%[![:space:]]*}"}
		token=${token%"${token##*[![:space:]]}"}
		[ -n "$token" ] || continue
		tokens=$((tokens + 1))
		kept=$kept${kept:+,}$token
		[ ${#token} -ge 16 ] || problem "CALLBACK_TOKEN: token $tokens has fewer than 16 characters"
		case $token in
		*[!A-Za-z0-9._~-]*) encode=yes ;;
		esac
	done
	IFS=$old_ifs
	CALLBACK_TOKEN=$kept
	[ "$tokens" -gt 0 ] || problem 'CALLBACK_TOKEN holds no token'
	[ -z "$encode" ] ||
		note 'a token holds characters other than A-Z a-z 0-9 - . _ ~: percent-encode them in the callback URL ("+" would arrive as a space)'
}

# check_size holds the environment against the platform's 4 KB (https://cloud.tencent.com/document/product/583/11637).
check_size() {
	size=0
	for name in $settings; do
		value=$(value_of "$name")
		[ -z "$value" ] || size=$((size + ${#name} + ${#value}))
	done
	[ "$size" -lt 4096 ] || problem "the function's variables take $size bytes; the platform allows fewer than 4096"
}

# find_cli sets cli to the command that deploys: serverless-cloud-framework 1.2.0 or later, the first that knows function
# URLs (https://cloud.tencent.com/document/product/1154/42990), by whichever of its names it is installed. Other programs
# go by those names: the old scf CLI from pip (`scf`), and the Serverless Framework (`serverless`, `sls`), which dropped
# Tencent in 3.27 (https://github.com/serverless/serverless/issues/11658).
cli=
find_cli() {
	for candidate in serverless-cloud-framework scf serverless sls; do
		found=$(command -v "$candidate") || continue
		if [ -n "$dry_run" ] || is_framework "$found"; then
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

show_settings() {
	printf 'function  ci-callback in %s, role %s\n' "$FUNCTION_REGION" "$FUNCTION_ROLE"
	for name in $settings; do
		value=$(value_of "$name")
		case $name in
		CALLBACK_TOKEN) [ -z "$value" ] || value="$tokens, not shown" ;;
		esac
		printf '  %-15s %s\n' "$name" "${value:-(not set)}"
	done
	[ "${CALLBACK_AUTH:-}" != none ] || printf '%s\n' \
		'*** WARNING: CALLBACK_AUTH=none ***' \
		'*** Whoever learns the URL can write records and, with TAG_MD5, tags. CI signs nothing: the token is the only check. ***' >&2
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

# without_secrets copies its input line by line, every secret of the environment replaced: what the CLI prints is
# beyond this script, and deployment logs are kept and passed around.
without_secrets() {
	while IFS= read -r line || [ -n "$line" ]; do
		IFS=,
		for secret in ${CALLBACK_TOKEN:-} "${TENCENT_SECRET_ID:-}" "${TENCENT_SECRET_KEY:-}" "${TENCENT_TOKEN:-}" \
			"${TENCENTCLOUD_SECRETID:-}" "${TENCENTCLOUD_SECRETKEY:-}" "${TENCENTCLOUD_SESSIONTOKEN:-}"; do
			[ -n "$secret" ] || continue
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
show_settings

if [ -n "$dry_run" ]; then
	printf 'would run, in %s:\n  scripts/build.sh\n  %s --version   (it must be serverless-cloud-framework, 1.2.0 or later)\n  %s deploy\n' "$root" "$cli" "$cli"
	exit 0
fi

scripts/build.sh

if [ -z "${TENCENT_SECRET_ID:-}" ] || [ -z "${TENCENT_SECRET_KEY:-}" ]; then
	note 'TENCENT_SECRET_ID and TENCENT_SECRET_KEY are not set: the CLI takes its stored credentials, or shows a QR code to
        log in with and writes the temporary key to .env in this folder. Never commit that file'
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/ci-callback.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The status goes by way of a file, as a POSIX shell reports only the last command of a pipeline.
{
	status=0
	"$cli" deploy 2>&1 || status=$?
	printf '%s\n' "$status" >"$work/status"
} | without_secrets | tee "$work/output"
status=$(cat "$work/status")
if [ "$status" != 0 ]; then
	printf 'deploy: %s deploy failed with status %s (above). Run this again once that is mended\n' "$cli" "$status" >&2
	exit 1
fi

url=$(public_url "$work/output")
if [ -z "$url" ]; then
	note 'deployed, but the output above names no public URL. Look in the SCF console: the function, then "Function URL"; create one there if there is none (public access, open)'
	exit 0
fi
query='?token=<your token>'
[ "${CALLBACK_AUTH:-}" != none ] || query=
printf '\ndeployed. The callback URL, to enter in CI:\n\n  %s/%s\n\nTo see that it answers, with its version:\n\n  curl %s/\n' "$url" "$query" "$url"
