package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ci-callback/ci-callback/pkg/config"
	"github.com/ci-callback/ci-callback/pkg/cosname"
)

var credentialVariables = []string{"TENCENTCLOUD_SECRETID", "TENCENTCLOUD_SECRETKEY", "TENCENTCLOUD_SESSIONTOKEN"}

// Names of checks that others need. Those of variables are the variables'.
const (
	checkToken       = "CALLBACK_TOKEN"
	checkCredentials = "credentials set"
	checkRegion      = "FUNCTION_REGION"
	checkSize        = "size of all"
)

// settings is what the environment says.
type settings struct {
	environment config.Environment
	config      config.Config     // with something usable in the place of each wrong variable
	problems    map[string]string // by variable
	auth        config.Auth
	authErr     error
	tokens      []string
}

func readSettings(environ []string) settings {
	s := settings{environment: environment(environ)}
	s.config, s.problems = load(s.environment)
	s.auth, s.authErr = config.LoadAuth(s.environment)
	s.tokens = split(s.environment.Process["CALLBACK_TOKEN"])
	return s
}

// repairs holds usable values for variables that have no default. The other variables are
// repaired by taking them away.
var repairs = map[string]string{
	"RECORD_BUCKET": "unset-1250000000", "RECORD_REGION": "ap-guangzhou",
	"TENCENTCLOUD_SECRETID": "unset", "TENCENTCLOUD_SECRETKEY": "unset",
}

// load returns the settings and every variable that is wrong. [config.Load] stops at the
// first: so each is repaired, and all read again.
func load(e config.Environment) (config.Config, map[string]string) {
	problems := map[string]string{}
	e.Process, e.Invocation = maps.Clone(e.Process), maps.Clone(e.Invocation)
	for {
		c, err := config.Load(e)
		wrong, found := errors.AsType[*config.Error](err)
		if !found {
			return c, problems
		}
		if _, again := problems[wrong.Variable]; again {
			return c, problems // the repair is no better
		}
		problems[wrong.Variable] = wrong.Problem
		for variable := range strings.SplitSeq(wrong.Variable, " and ") {
			e.Process[variable], e.Invocation[variable] = repairs[variable], repairs[variable]
		}
	}
}

// secrets are what must not be printed. Short ones would take half of the text with
// them, and are no secrets.
func (s settings) secrets() []string {
	secrets := slices.Clone(s.tokens)
	for _, name := range credentialVariables {
		secrets = append(secrets, s.environment.Process[name])
	}
	secrets = slices.DeleteFunc(secrets, func(secret string) bool { return len(secret) < 8 })
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) }) // one may hold another
	return secrets
}

// checkDeployment checks what scripts/deploy.sh is about to deploy.
func (d *doctor) checkDeployment(ctx context.Context) {
	d.checkVariables(ctx)
	d.check(ctx, checkRegion, nil, d.judgeRegion)
	d.check(ctx, checkSize, nil, d.judgeSize)
}

// checkSettings checks the variables, and those of the shell.
func (d *doctor) checkSettings(ctx context.Context) {
	d.checkVariables(ctx)
	d.check(ctx, checkCredentials, nil, d.judgeCredentials)
}

// checkVariables makes a check of each variable of the function.
func (d *doctor) checkVariables(ctx context.Context) {
	d.check(ctx, checkToken, nil, d.judgeToken)
	shown := d.variables()
	for name := range d.settings.problems {
		other := !slices.ContainsFunc(shown, func(v variable) bool { return v.name == name })
		if other && !strings.HasPrefix(name, "TENCENTCLOUD_SECRET") {
			shown = append(shown, variable{name: name})
		}
	}
	for _, v := range shown {
		d.check(ctx, v.name, nil, func(context.Context) finding { return d.judgeVariable(v) })
	}
}

// variable is a setting as it is shown.
type variable struct{ name, value string }

func (d *doctor) variables() []variable {
	c := d.settings.config
	buckets := "every bucket of AppID " + c.AppID
	if _, wrong := d.settings.problems["RECORD_BUCKET"]; wrong { // from which the AppID would be
		buckets = "every bucket of the function's own AppID"
	}
	if len(c.TagBuckets) > 0 {
		buckets = strings.Join(c.TagBuckets, ", ")
	}
	return []variable{
		{"RECORD_BUCKET", c.RecordBucket},
		{"RECORD_REGION", c.RecordRegion},
		{"RECORD_PREFIX", c.RecordPrefix},
		{"TAG_MD5", fmt.Sprint(c.TagMD5)},
		{"MD5_TAG_KEY", c.MD5TagKey},
		{"TAG_BUCKETS", buckets},
		{"COS_ENDPOINT", c.Endpoint},
		{"MAX_BODY_BYTES", fmt.Sprint(c.MaxBodyBytes)},
		{"LOG_LEVEL", strings.ToLower(c.LogLevel.String())},
	}
}

// cosSettings are the variables without which COS cannot be asked.
var cosSettings = []string{"RECORD_BUCKET", "RECORD_REGION", "RECORD_PREFIX", "COS_ENDPOINT", checkCredentials}

func (d *doctor) judgeVariable(v variable) finding {
	if problem, wrong := d.settings.problems[v.name]; wrong {
		return fail(problem, "set it right, and deploy")
	}
	c := d.settings.config
	switch {
	case v.name == "RECORD_PREFIX" && !strings.HasSuffix(v.value, "/"):
		return warn(v.value, "end it with /, unless records are to be called "+v.value+"jobs/…")
	case v.name == "TAG_BUCKETS" && len(c.TagBuckets) > 0 && !c.TagMD5:
		return warn(v.value, "nothing is tagged while TAG_MD5 is not true")
	case v.name == "COS_ENDPOINT" && d.deployment && d.endpointIsLocal():
		return fail(v.value+" is not for a deployment", "unset it, or name an endpoint of COS, with https://: SCF knows no .localhost, and over http:// the role's credentials could be read")
	case strings.TrimSpace(d.settings.environment.Process[v.name]) == "":
		v.value += "  (not set)"
	}
	return pass(v.value)
}

// endpointIsLocal reports whether a deployed function cannot or must not use the endpoint.
func (d *doctor) endpointIsLocal() bool {
	c := d.settings.config
	u, err := cosname.BucketURL(c.Endpoint, c.RecordBucket, c.RecordRegion)
	return err == nil && (u.Scheme != "https" || isThisMachine(u.Hostname()))
}

// judgeRegion reads where the function runs, as scripts/deploy.sh has it: where the
// records are, unless FUNCTION_REGION says otherwise.
func (d *doctor) judgeRegion(context.Context) finding {
	variables := d.settings.environment.Process
	region := cmp.Or(variables["FUNCTION_REGION"], variables["RECORD_REGION"])
	if region == "" {
		return fail("is not set: where the function runs, such as ap-guangzhou", "set it, best to the region of the record bucket")
	}
	if err := cosname.CheckRegion(region); err != nil {
		return fail("is wrong: "+err.Error(), "set it right")
	}
	return pass(region)
}

// maxVariablesBytes is what the platform takes of variables, names and values together.
// https://cloud.tencent.com/document/product/583/11637
const maxVariablesBytes = 4 << 10

func (d *doctor) judgeSize(context.Context) finding {
	size := 0
	for _, v := range append(d.variables(), variable{name: checkToken}, variable{name: "CALLBACK_AUTH"}) {
		if value := d.settings.environment.Process[v.name]; value != "" {
			size += len(v.name) + len(value)
		}
	}
	if size >= maxVariablesBytes {
		return fail(fmt.Sprintf("the function's variables take %d bytes, and the platform fewer than %d", size, maxVariablesBytes), "name fewer TAG_BUCKETS, or none")
	}
	return passf("%d bytes", size)
}

// judgeToken never shows a token, and nothing of one.
func (d *doctor) judgeToken(context.Context) finding {
	if d.settings.authErr != nil {
		detail := strings.TrimPrefix(d.settings.authErr.Error(), checkToken+" ")
		return fail(detail, "a good one is the output of: openssl rand -hex 16")
	}
	if d.settings.auth.Open() {
		return warn("CALLBACK_AUTH=none: whoever learns the URL can write records", "set CALLBACK_TOKEN instead, and add ?token=… to the callback URL")
	}
	detail := "1 token"
	if n := len(d.settings.tokens); n > 1 {
		detail = fmt.Sprintf("%d tokens", n)
		if d.url != nil {
			detail += "; the first is used here"
		}
	}
	for _, token := range d.settings.tokens {
		if strings.Trim(token, tokenCharacters) != "" {
			return warn(detail+", one with characters that mean something in a URL", "percent-encode it in the callback URL (a + would arrive as a space)")
		}
	}
	return pass(detail)
}

// tokenCharacters need no encoding in a URL (RFC 3986, unreserved).
const tokenCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"

func (d *doctor) judgeCredentials(context.Context) finding {
	for name := range d.settings.problems {
		if strings.HasPrefix(name, "TENCENTCLOUD_SECRET") {
			return fail("TENCENTCLOUD_SECRETID and TENCENTCLOUD_SECRETKEY are not both set in this shell",
				"set them to an API key, for a temporary one TENCENTCLOUD_SESSIONTOKEN too; the function gets its own from its execution role")
		}
	}
	if d.settings.config.Credentials.SessionToken != "" {
		return pass("a temporary key of this shell, not the function's role")
	}
	return pass("a key of this shell, not the function's role")
}
