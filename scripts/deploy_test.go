package scripts_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ci-callback/ci-callback/internal/testprogram"
	"github.com/ci-callback/ci-callback/internal/testsize"
)

// secrets are what no output, no argument and no file may hold after a run.
var secrets = []string{
	"first-token-0123456789", "second-token-0123456789", "AKIDexampleexample", "key/of*the[deployer]", "temporary-token",
}

// The version lines of the CLIs that may be found, as each prints them.
const (
	npmVersion      = "\nserverless-cloud-framework\n\nserverless-cloud-framework version: 1.3.0(npm)\n"
	npmOldVersion   = "\nserverless-cloud-framework\n\nserverless-cloud-framework version: 1.1.0(npm)\n"
	pipVersion      = "SCF CLI, version 0.2.8\n"
	upstreamVersion = "Serverless ϟ Framework 4.4.7\n"
	slsVersion      = "serverless ⚡ tencent version: 3.2.1(npm)\n"
)

// deployed is what the CLI prints after a deployment, as far as this script reads it. The
// trigger's description is JSON in a string, with the private address first.
const deployed = `
serverless-cloud-framework
Action: "deploy" - Stage: "prod" - App: "ci-callback" - Name: "ci-callback"

functionName: ci-callback
triggers:
  -
    TriggerDesc: {\"AuthType\":\"NONE\",\"NetConfig\":{\"IntranetUrl\":\"https://1250000000-abcdefgh.in.ap-guangzhou.tencentscf.com\",\"ExtranetUrl\":\"https://1250000000-abcdefgh.ap-guangzhou.tencentscf.com\"}}
    Type:        http

应用控制台: https://console.cloud.tencent.com/sls/detail?stageName=prod
`

// cli is a stand-in for a deployment CLI. It notes how it was called, and on deploy
// prints what it is given and, as a careless or failing CLI might, every secret it was
// handed.
type cli struct {
	name, version, prints string
	status                string
	then                  string // shell, before it ends
}

func (c cli) script() string {
	return `#!/bin/sh
if [ "$1" = --version ]; then cat <<'END'
` + c.version + `END
exit 0; fi
{ echo "$0 $*"; pwd; env; } >"$CALLED"
cat <<'END'
` + c.prints + `END
echo "token=$CALLBACK_TOKEN key: $TENCENT_SECRET_KEY $TENCENT_SECRET_KEY."
printf '%s' "no newline after $TENCENT_TOKEN$TENCENT_SECRET_ID" >&2
` + c.then + `
exit ` + c.status + "\n"
}

// deployment is one run of deploy.sh in a stand-in project.
type deployment struct {
	env   map[string]string // on top of what works; an empty value takes the variable away
	args  []string
	cli   []cli
	files map[string]string // in the project

	status int
	says   []string
	not    []string
	called bool // the CLI has been asked to deploy
	built  bool
	noGo   bool
	noted  bool // the arguments of every program are looked at, as at full size they are in each run
}

var (
	npm      = cli{"scf", npmVersion, deployed, "0", ""}
	npmLong  = cli{"serverless-cloud-framework", npmVersion, deployed, "0", ""}
	pip      = cli{"scf", pipVersion, "", "0", ""}
	upstream = cli{"serverless", upstreamVersion, "", "0", ""}
)

// renamed returns serverless.yml with another name of the function.
func renamed(name string) string {
	file, err := os.ReadFile("../serverless.yml")
	if err != nil {
		panic(err)
	}
	return strings.Replace(string(file), "\n  name: ci-callback\n", "\n  name: "+name+"\n", 1)
}

func with(c cli, prints, status string) []cli {
	c.prints, c.status = prints, status
	return []cli{c}
}

var deployments = map[string]deployment{
	"success": {
		cli: []cli{npm}, called: true, built: true, noted: true,
		says: []string{
			"function  ci-callback in ap-guangzhou, role ci-callback-role\n",
			"ok       RECORD_BUCKET        records-1250000000\n", "ok       CALLBACK_TOKEN       2 tokens\n", "TAG_MD5              false  (not set)\n",
			"\n  https://1250000000-abcdefgh.ap-guangzhou.tencentscf.com/?token=<your token>\n",
			"go run ./scripts/doctor -url https://1250000000-abcdefgh.ap-guangzhou.tencentscf.com/ -role\n", "version  v1.2.3-4-gabc\n",
			"asked -url https://1250000000-abcdefgh.ap-guangzhou.tencentscf.com/ -deployed v1.2.3-4-gabc -timeout 2m\n",
			"token=***,*** key: *** ***.\n", "no newline after ******\n",
		},
		not: []string{"warning ", "note:"},
	},
	"region_from_the_records": {
		env: map[string]string{"FUNCTION_REGION": "", "RECORD_REGION": "ap-shanghai"}, cli: []cli{npm}, called: true, built: true,
		says: []string{"in ap-shanghai, role"},
	},
	"function_URL_of_the_older_form": {
		cli: with(npm, "functionName: ci-callback\nurl: https://1250000000-abcdefgh-ap-guangzhou-in.scf.tencentcs.com/\nurl: https://1250000000-abcdefgh-ap-guangzhou.scf.tencentcs.com/\n", "0"), called: true, built: true,
		says: []string{"\n  https://1250000000-abcdefgh-ap-guangzhou.scf.tencentcs.com/?token=<your token>\n"},
	},
	"API_gateways_address_in_colour": {
		cli: with(npm, "functionName: \x1b[33mci-callback\x1b[0m\nurls:\n  - \x1b[1mhttps://service-00000000-1250000000.gz.apigw.tencentcs.com/release/\x1b[0m\n", "0"), called: true, built: true,
		says: []string{"\n  https://service-00000000-1250000000.gz.apigw.tencentcs.com/release/?token=<your token>\n"},
	},
	"no_address_in_the_output": {
		cli: with(npm, "functionName: ci-callback\n", "0"), called: true, built: true, status: 1,
		says: []string{"names no public URL", `"Function URL"`}, not: []string{"The callback URL", "deployed. "},
	},
	"only_a_private_address": {
		cli: with(npm, "functionName: ci-callback\nhttps://1250000000-abcdefgh.in.ap-guangzhou.tencentscf.com\n", "0"), called: true, built: true, status: 1,
		says: []string{"names no public URL"}, not: []string{"The callback URL", "deployed. "},
	},
	"login_timed_out": {
		cli: with(npm, "Please scan QR code login from wechat\nlogin timeout, please login again\n", "0"), called: true, built: true, status: 1,
		says: []string{"nothing was deployed", "names no function", "TENCENT_SECRET_ID"}, not: []string{"The callback URL", "deployed. "},
	},
	"another_function_deployed": {
		cli: with(npm, strings.ReplaceAll(deployed, "functionName: ci-callback", "functionName: ci-callback-2"), "0"), called: true, built: true, status: 1,
		says: []string{"nothing was deployed"}, not: []string{"The callback URL", "deployed. "},
	},
	"second_function": {
		files: map[string]string{"serverless.yml": renamed("ci-callback-2")},
		cli:   with(npm, strings.ReplaceAll(deployed, "functionName: ci-callback", "functionName: ci-callback-2"), "0"), called: true, built: true,
		says: []string{"function  ci-callback-2 in ap-guangzhou", "?token=<your token>\n"},
	},
	"function_without_a_name": {
		files: map[string]string{"serverless.yml": renamed("")}, cli: []cli{npm}, status: 1,
		says: []string{"serverless.yml gives the function no name"},
	},
	"token_that_begins_as_another": {
		env: map[string]string{"CALLBACK_TOKEN": secrets[0] + "," + secrets[0] + "-AND-MORE"}, cli: []cli{npm}, called: true, built: true,
		says: []string{"token=***,*** key: *** ***.\n"}, not: []string{"AND-MORE"},
	},
	"the_URL_answers_otherwise": {
		env: map[string]string{"ANSWERS": "1"}, cli: []cli{npm}, called: true, built: true, status: 1,
		says: []string{"asking https://1250000000-abcdefgh.ap-guangzhou.tencentscf.com/ for version v1.2.3-4-gabc:", "is not as it should be", "refuses to change",
			"-deployed v1.2.3-4-gabc"}, not: []string{"The callback URL", "deployed. "},
	},
	"build_names_no_version": {
		cli: []cli{npm}, built: true, status: 1, files: map[string]string{"scripts/build.sh": "#!/bin/sh\n: >\"$BUILT\"\n"},
		says: []string{"names no version"}, not: []string{"The callback URL", "deployed. "},
	},
	"CLI_fails": {
		cli: with(npm, "AuthFailure.UnauthorizedOperation\n", "7"), called: true, built: true, status: 1,
		says: []string{"AuthFailure.UnauthorizedOperation", "scf deploy failed with status 7", "Run this again"},
		not:  []string{"The callback URL"},
	},
	"build_fails": {
		cli: []cli{npm}, built: true, status: 3, files: map[string]string{"scripts/build.sh": "#!/bin/sh\n: >\"$BUILT\"\necho no compiler >&2\nexit 3\n"},
		says: []string{"no compiler"}, not: []string{"The callback URL"},
	},
	"no_authentication": {
		env: map[string]string{"CALLBACK_TOKEN": "", "CALLBACK_AUTH": "none"}, cli: []cli{npm}, called: true, built: true,
		says: []string{"warning  CALLBACK_TOKEN       CALLBACK_AUTH=none: whoever learns the URL can write records", "\n  https://1250000000-abcdefgh.ap-guangzhou.tencentscf.com/\n"},
		not:  []string{"<your token>"},
	},
	"token_that_matches_every_file": {
		env: map[string]string{"CALLBACK_TOKEN": "****************"}, cli: []cli{npm}, called: true, built: true,
		says: []string{"CALLBACK_TOKEN       1 token", "token=*** key"},
	},
	"tokens_with_spaces_around": {
		env: map[string]string{"CALLBACK_TOKEN": " first-token-0123456789 ,, second-token-0123456789, "}, cli: []cli{npm}, called: true, built: true,
		says: []string{"CALLBACK_TOKEN       2 tokens\n", "token= *** ,, ***,  key"},
	},
	"no_key_of_the_deployer": {
		env: map[string]string{"TENCENT_SECRET_ID": "", "TENCENT_SECRET_KEY": ""}, cli: []cli{npm}, called: true, built: true,
		says: []string{"QR code", ".env in this folder. Never commit", "not seen until it is answered"},
	},
	"token_that_a_URL_cannot_hold_as_it_is": {
		env: map[string]string{"CALLBACK_TOKEN": "0123456789+abc/def=="}, cli: []cli{npm}, called: true, built: true,
		says: []string{"percent-encode"}, not: []string{"0123456789+abc"},
	},
	"token_that_means_something_to_a_shell": {
		env: map[string]string{"CALLBACK_TOKEN": "*?[a-z]$(id)`id`\\\"'%s"}, cli: []cli{npm}, called: true, built: true,
		says: []string{"CALLBACK_TOKEN       1 token", "token=*** key"}, not: []string{"[a-z]", "uid="},
	},

	"help":             {args: []string{"--help"}, says: []string{"usage: scripts/deploy.sh [--dry-run]"}},
	"unknown_flag":     {args: []string{"--dryrun"}, cli: []cli{npm}, status: 2, says: []string{"unknown argument: --dryrun", "usage: scripts/deploy.sh [--dry-run]"}},
	"unknown_argument": {args: []string{"--dry-run", "prod"}, cli: []cli{npm}, status: 2, says: []string{"unknown argument: prod", "usage:"}},

	"dry_run": {
		args: []string{"--dry-run"}, cli: []cli{npm},
		says: []string{"RECORD_BUCKET        records-1250000000\n", "CALLBACK_TOKEN       2 tokens", "would run, in ", "scripts/build.sh\n", "/scf deploy\n"},
	},
	"dry_run_with_everything_missing": {
		args: []string{"--dry-run"}, env: map[string]string{"RECORD_BUCKET": "", "FUNCTION_REGION": "", "FUNCTION_ROLE": "", "CALLBACK_TOKEN": ""}, status: 1,
		says: []string{
			"FAILED   RECORD_BUCKET        is not set", "FAILED   FUNCTION_REGION      is not set", "FAILED   FUNCTION_ROLE", "FAILED   CALLBACK_TOKEN       is not set",
			"openssl rand -hex 16", "a setting is wrong (above)", "no CLI", "nothing was built or deployed",
		},
		not: []string{"would run"},
	},
	"dry_run_with_pips_CLI": {args: []string{"--dry-run"}, cli: []cli{pip}, status: 1, says: []string{"/scf is the old scf CLI from pip"}, not: []string{"would run"}},

	"wrong_setting": {
		env: map[string]string{"TAG_MD5": "yes", "COS_ENDPOINT": "http://{bucket}.cos.{region}.localhost:9000"}, cli: []cli{npm}, status: 1,
		says: []string{"FAILED   TAG_MD5              must be true or false", "FAILED   COS_ENDPOINT ", "a setting is wrong (above)"},
	},
	"short_token": {
		env: map[string]string{"CALLBACK_TOKEN": "first-token-0123456789,0123456789abcde"}, cli: []cli{npm}, status: 1,
		says: []string{"FAILED   CALLBACK_TOKEN       has a token that is too short"}, not: []string{"0123456789abcde"},
	},
	"placeholders_of_the_README": {
		env: map[string]string{"RECORD_BUCKET": "examplebucket-1250000000", "TENCENT_SECRET_ID": "…"}, cli: []cli{npm}, status: 1,
		says: []string{"examplebucket-1250000000 is a placeholder", "TENCENT_SECRET_ID is a placeholder of the README"},
	},
	"no_role":            {env: map[string]string{"FUNCTION_ROLE": ""}, cli: []cli{npm}, status: 1, says: []string{"FAILED   FUNCTION_ROLE", "is not set: the name of the execution role", "a setting is wrong"}},
	"no_go":              {noGo: true, cli: []cli{npm}, status: 1, says: []string{"go is not on PATH", "https://go.dev/doc/install"}},
	"both_kinds_of_auth": {env: map[string]string{"CALLBACK_AUTH": "none"}, cli: []cli{npm}, status: 1, says: []string{"are both set"}},
	"setting_in_.env_alone": {
		env: map[string]string{"CALLBACK_TOKEN": ""}, files: map[string]string{".env": "CALLBACK_TOKEN=second-token-0123456789\nRECORD_BUCKET=records-1250000000\n"}, cli: []cli{npm}, status: 1,
		says: []string{"CALLBACK_TOKEN is set in ./.env but not in the environment", "set -a; . ./.env; set +a"}, not: []string{"RECORD_BUCKET is set in"},
	},
	"open_door_in_a_stage_.env": {
		files: map[string]string{"../.env.prod": "export CALLBACK_AUTH=none\n"}, cli: []cli{npm}, status: 1,
		says: []string{"CALLBACK_AUTH is set in ../.env.prod but not in the environment"},
	},
	"setting_in_a_.env_that_the_CLI_does_not_read": {
		files: map[string]string{".env.prod": "TENCENT_SECRET_ID=x\n", ".env": "CALLBACK_AUTH=none\n", "../.env.prod": "CALLBACK_AUTH=none\n"}, cli: []cli{npm}, called: true, built: true,
	},
	"key_in_.env": {files: map[string]string{".env": "TENCENT_SECRET_ID=x\n# RECORD_REGION=\n", ".env.example": "CALLBACK_AUTH=none\n"}, cli: []cli{npm}, called: true, built: true},

	"ended_while_the_CLI_is_at_work": {
		cli: []cli{{"scf", npmVersion, deployed, "0", `kill -TERM "$(cat "$PID")"`}}, called: true, built: true, status: 143, not: []string{"The callback URL"},
	},

	"no_CLI":               {status: 1, says: []string{"no CLI to deploy with", "npm install --global serverless-cloud-framework", "dist/ci-callback.zip"}},
	"pip_CLI":              {cli: []cli{pip}, status: 1, says: []string{"/scf is the old scf CLI from pip", "npm install --global serverless-cloud-framework"}},
	"pip_CLI_before_npm":   {cli: []cli{pip, npmLong}, called: true, built: true, not: []string{"pip"}},
	"Serverless_Framework": {cli: []cli{upstream}, status: 1, says: []string{"/serverless is not Tencent's serverless-cloud-framework", "no CLI to deploy with"}},
	"earlier_Tencent_CLI": {
		cli: []cli{upstream, {"sls", slsVersion, deployed, "0", ""}}, status: 1,
		says: []string{"/serverless is not Tencent's", "/sls is an earlier Tencent CLI, which knows no function URL", "no CLI to deploy with"},
	},
	"framework_before_function_URLs": {
		cli: []cli{{"scf", npmOldVersion, deployed, "0", ""}}, status: 1,
		says: []string{"before 1.2.0", "npm update --global serverless-cloud-framework"},
	},
	"framework_far_ahead": {cli: []cli{{"scf", strings.ReplaceAll(npmVersion, "1.3.0", "1.12.0"), deployed, "0", ""}}, called: true, built: true},
	"framework_as_sls":    {cli: []cli{pip, {"sls", npmVersion, deployed, "0", ""}}, called: true, built: true, says: []string{"/scf is the old scf CLI from pip"}},
	"some_other_scf":      {cli: []cli{{"scf", "scf 3.0, the SCF energy calculator\n", "", "0", ""}}, status: 1, says: []string{"/scf is not Tencent's serverless-cloud-framework"}},
}

// TestDeploy is not parallel itself, so that nothing else runs while it writes the
// programs that it then runs (notingToolbox says why).
func TestDeploy(t *testing.T) {
	need(t, "go")
	doctor := testprogram.Path(t, buildDoctor)
	for shell, path := range shells(t) {
		for name, test := range deployments {
			t.Run(shell+"/"+name, func(t *testing.T) {
				prepared := test.prepare(t, doctor)
				t.Parallel()
				prepared.run(t, path)
			})
		}
	}
}

// prepared is a deployment with its project, its PATH and its environment in place.
type prepared struct {
	deployment
	project                  string
	variables                map[string]string
	called, built, arguments string // files that are written when it happens
	temporary                string
}

// goScript is a stand-in for go that has the doctor built already, and for the deployed
// function, which answers as it should unless ANSWERS says otherwise. It wants what a
// builder has set kept away.
const goScript = `#!/bin/sh
printf '%s\n' "$*" >>"$ARGUMENTS"
case "$* $GOOS $GOARCH $GOFLAGS $GOWORK $GO111MODULE" in
'env GOHOSTOS '* | 'env GOHOSTARCH '*) echo host ;;
'run ./scripts/doctor -settings host host -mod=readonly off on') exec "$DOCTOR" -settings ;;
'run ./scripts/doctor -url '*' host host -mod=readonly off on')
	shift 2
	printf 'asked %s\n' "$*"
	exit "${ANSWERS:-0}"
	;;
*) exit 2 ;;
esac
`

func (d deployment) prepare(t *testing.T, doctor string) prepared {
	project := filepath.Join(t.TempDir(), "a project")
	copyInto(t, project, "scripts/deploy.sh", "serverless.yml")
	write(t, filepath.Join(project, "scripts", "build.sh"), "#!/bin/sh\n: >\"$BUILT\"\nprintf 'version  v1.2.3-4-gabc\\n'\n", 0o755)
	for path, content := range d.files {
		write(t, filepath.Join(project, path), content, 0o755)
	}
	newToolbox := toolbox
	if d.noted || testsize.Full() {
		newToolbox = notingToolbox // two processes for each program
	}
	bin := newToolbox(t, "sh", "cat", "cut", "dirname", "env", "grep", "mktemp", "rm", "sed", "sort", "tee", "tr")
	for _, c := range d.cli {
		write(t, filepath.Join(bin, c.name), c.script(), 0o755)
	}
	if !d.noGo {
		write(t, filepath.Join(bin, "go"), goScript, 0o755)
	}
	notes := t.TempDir()
	p := prepared{
		deployment: d, project: project, temporary: t.TempDir(),
		called: filepath.Join(notes, "called"), built: filepath.Join(notes, "built"), arguments: filepath.Join(notes, "arguments"),
	}
	p.variables = map[string]string{
		"PATH": bin, "TMPDIR": p.temporary, "CALLED": p.called, "BUILT": p.built, "ARGUMENTS": p.arguments, "PID": filepath.Join(notes, "pid"),
		"DOCTOR": doctor, "GOOS": "plan9", "GOARCH": "arm", "GOFLAGS": "-tags=debug", "GOWORK": "/nowhere/go.work", "GO111MODULE": "off",
		"RECORD_BUCKET": "records-1250000000", "FUNCTION_REGION": "ap-guangzhou", "FUNCTION_ROLE": "ci-callback-role",
		"CALLBACK_TOKEN": "first-token-0123456789,second-token-0123456789", "MD5_TAG_KEY": "", "RECONCILE_BUCKETS": "media-1250000000",
		"TENCENT_SECRET_ID": secrets[2], "TENCENT_SECRET_KEY": secrets[3], "TENCENT_TOKEN": secrets[4],
	}
	maps.Copy(p.variables, d.env)
	return p
}

func (p prepared) run(t *testing.T, shell string) {
	var env []string
	for name, value := range p.variables {
		env = append(env, name+"="+value)
	}
	did := run(t, t.TempDir(), env, shell, append([]string{"-c", `echo $$ >"$PID"; exec "$0" "$@"`, shell, filepath.Join(p.project, "scripts", "deploy.sh")}, p.args...)...)
	did.expect(t, p.status, p.says...)
	for _, text := range p.not {
		if strings.Contains(did.all(), text) {
			t.Errorf("it says %q:\n%s", text, did.all())
		}
	}
	if exists(p.built) != p.deployment.built || exists(p.called) != p.deployment.called {
		t.Errorf("built %v, deployed %v; want %v, %v", exists(p.built), exists(p.called), p.deployment.built, p.deployment.called)
	}
	checkNoSecret(t, "output", did.all())
	if exists(p.arguments) {
		checkNoSecret(t, "another program's arguments", string(read(t, p.arguments)))
	}
	if left, err := os.ReadDir(p.temporary); err != nil || len(left) > 0 {
		t.Errorf("left in the temporary folder: %v %v", left, err)
	}
	if exists(p.called) {
		checkCall(t, string(read(t, p.called)), p.project, p.variables)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func checkNoSecret(t *testing.T, where, text string) {
	t.Helper()
	for _, secret := range secrets {
		if strings.Contains(text, secret) {
			t.Errorf("a secret is in the %s:\n%s", where, text)
		}
	}
}

// checkCall holds what the CLI was called with: deploy and nothing else, where
// serverless.yml lies, and with each setting as given; an empty one not at all, as it
// would be deployed as an empty value.
func checkCall(t *testing.T, call, project string, variables map[string]string) {
	t.Helper()
	lines := strings.Split(call, "\n")
	if !strings.HasSuffix(lines[0], " deploy") || filepath.Base(lines[1]) != filepath.Base(project) {
		t.Errorf("called as %q in %q", lines[0], lines[1])
	}
	if !exists(filepath.Join(lines[1], "serverless.yml")) {
		t.Errorf("called in %s, where no serverless.yml is", lines[1])
	}
	for _, name := range append(settings(), "FUNCTION_ROLE") {
		line := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, name+"=") })
		want := variables[name]
		switch {
		case want == "" && line >= 0:
			t.Errorf("%s reaches the CLI, though it is empty or not set", name)
		case want != "" && (line < 0 || lines[line] != name+"="+want):
			t.Errorf("%s does not reach the CLI as it was given", name)
		}
	}
	if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, "FUNCTION_REGION=ap-") }) {
		t.Error("FUNCTION_REGION does not reach the CLI")
	}
}
