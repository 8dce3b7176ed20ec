package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/ci-callback/ci-callback/pkg/config"
	"github.com/ci-callback/ci-callback/pkg/cosname"
	"github.com/ci-callback/ci-callback/scripts/internal/shell"
)

// Names of checks that others need. Those of variables are the variables'.
const (
	checkToken       = "CALLBACK_TOKEN"
	checkCredentials = "credentials set"
	checkRegion      = "FUNCTION_REGION"
	checkExecution   = "FUNCTION_ROLE"
	checkSize        = "size of all"
)

// cosSettings are the checks that must go well before COS can be asked.
var cosSettings = []string{"RECORD_BUCKET", "RECORD_REGION", "RECORD_PREFIX", "COS_ENDPOINT", checkCredentials}

// settings is what the environment says.
type settings struct {
	environment config.Environment
	config      config.Config // with the default in the place of each wrong variable
	reconcile   config.Reconcile
	problems    map[string]string // what is wrong, by variable
	auth        config.Auth
	authErr     error
	tokens      []string
}

func readSettings(environ []string) settings {
	s := settings{environment: shell.Environment(environ), problems: map[string]string{}}
	var configErr, reconcileErr error
	s.config, configErr = config.Load(s.environment)
	s.reconcile, reconcileErr = config.LoadReconcile(s.environment)
	for _, err := range []error{configErr, reconcileErr} {
		wrong, _ := errors.AsType[config.Errors](err)
		for _, e := range wrong {
			for variable := range strings.SplitSeq(e.Variable, " and ") {
				s.problems[variable] = e.Problem
			}
		}
	}
	s.auth, s.authErr = config.LoadAuth(s.environment)
	s.tokens = split(s.environment.Process["CALLBACK_TOKEN"])
	return s
}

// secrets are what must not be printed. A short one is no secret, and to take it out
// would take half of the text with it.
func (s settings) secrets() []string {
	secrets := slices.Clone(s.tokens)
	for _, name := range shell.Keys() {
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
	d.check(ctx, checkExecution, nil, d.judgeExecutionRole)
	d.check(ctx, checkSize, nil, d.judgeSize)
}

// checkSettings checks the variables of the function, and the key of the shell.
func (d *doctor) checkSettings(ctx context.Context) {
	d.checkVariables(ctx)
	d.check(ctx, checkCredentials, nil, d.judgeCredentials)
}

// checkVariables makes a check of each variable of the function, in the order of the
// documentation but for the token, which comes first. CALLBACK_AUTH is judged with it.
func (d *doctor) checkVariables(ctx context.Context) {
	d.check(ctx, checkToken, nil, d.judgeToken)
	for _, v := range config.Variables() {
		if !strings.HasPrefix(v.Name, "CALLBACK_") {
			d.check(ctx, v.Name, nil, func(context.Context) finding { return d.judgeVariable(v) })
		}
	}
}

// valueOf returns a variable as it is set, or "".
func (d *doctor) valueOf(name string) string {
	return strings.TrimSpace(d.settings.environment.Process[name])
}

// judgeVariable shows a variable, or the value that the function takes instead, and says
// what is wrong with it.
func (d *doctor) judgeVariable(v config.Variable) finding {
	if problem, wrong := d.settings.problems[v.Name]; wrong {
		return fail(problem, "set it right, and deploy")
	}
	value := d.valueOf(v.Name)
	if f, found := d.judgeValue(v.Name, value); found {
		return f
	}
	if value == "" {
		return pass(d.effective(v) + "  (not set)")
	}
	return pass(value)
}

// judgeValue returns the finding for a value that the function takes, and that an
// operator should know about all the same.
func (d *doctor) judgeValue(name, value string) (f finding, found bool) {
	c := d.settings.config
	switch {
	case isPlaceholder(value):
		return fail(fmt.Sprintf("%.100s is a placeholder of the documentation", value), "set the name of your own"), true
	case name == "RECORD_REGION" && !isKnownRegion(c.RecordRegion):
		return unknownRegion(c.RecordRegion), true
	case name == "RECORD_PREFIX" && !strings.HasSuffix(c.RecordPrefix, "/"):
		return warn(value, "end it with /, unless records are to be called "+value+"jobs/…"), true
	case name == "TAG_BUCKETS" && len(c.TagBuckets) > 0 && !c.TagMD5:
		return warn(value, "nothing is tagged while TAG_MD5 is not true"), true
	case name == "RECONCILE_BUCKETS" && value == "":
		return warn("none: a job whose callback is lost stays without a record", "name the media buckets whose jobs are compared with the records"), true
	case name == "RECONCILE_BUCKETS":
		i := slices.IndexFunc(d.settings.reconcile.Buckets, func(b config.Bucket) bool { return !isKnownRegion(b.Region) })
		if i >= 0 {
			return unknownRegion(d.settings.reconcile.Buckets[i].Region), true
		}
	case (name == "COS_ENDPOINT" || name == "CI_ENDPOINT") && d.deployment && isLocalEndpoint(d.endpoint(name)):
		return fail(value+" is not for a deployment", "unset it, or name an endpoint with https://: SCF knows no .localhost, "+
			"and over http:// the role's credentials could be read"), true
	}
	return finding{}, false
}

// effective returns what the function takes for a variable that is not set.
func (d *doctor) effective(v config.Variable) string {
	_, noBucket := d.settings.problems["RECORD_BUCKET"] // from which the AppID would be
	switch {
	case v.Name == "RECORD_REGION":
		return d.settings.config.RecordRegion
	case v.Name == "TAG_BUCKETS" && noBucket:
		return "every bucket of the function's own AppID"
	case v.Name == "TAG_BUCKETS":
		return "every bucket of AppID " + d.settings.config.AppID
	case v.Name == "RECONCILE_TYPES":
		return fmt.Sprintf("%d types", len(d.settings.reconcile.Types))
	case v.Name == "RECONCILE_WORKFLOWS":
		return "none"
	}
	return v.Default
}

// isPlaceholder reports whether a value was copied from the documentation as it stands
// there, in the place of one's own.
func isPlaceholder(value string) bool {
	return strings.Contains(value, "examplebucket-") || strings.ContainsAny(value, "…<>")
}

func (d *doctor) endpoint(variable string) string {
	if variable == "CI_ENDPOINT" {
		return d.settings.reconcile.Endpoint
	}
	return d.settings.config.Endpoint
}

// isLocalEndpoint reports whether a deployed function cannot or must not use an endpoint,
// which may name a bucket in the place of {bucket}.
func isLocalEndpoint(endpoint string) bool {
	u, err := url.Parse(strings.NewReplacer("{", "", "}", "").Replace(endpoint))
	return err == nil && (u.Scheme != "https" || isThisMachine(u.Hostname()))
}

// judgeRegion reads where the function runs, as scripts/deploy.sh has it: where the
// records are, unless FUNCTION_REGION says otherwise. It is deployed as it stands, so that
// white space counts: the \r of a settings file with Windows line ends, too.
func (d *doctor) judgeRegion(context.Context) finding {
	variables := d.settings.environment.Process
	region := cmp.Or(variables["FUNCTION_REGION"], variables["RECORD_REGION"])
	if region == "" {
		return fail("is not set: where the function runs, such as ap-guangzhou", "set it, best to the region of the record bucket")
	}
	if err := cosname.CheckRegion(region); err != nil {
		return fail("is wrong: "+err.Error(), "set it right")
	}
	if !isKnownRegion(region) {
		return unknownRegion(region)
	}
	return pass(region)
}

// judgeExecutionRole checks that CAM could have a role of this name, which is deployed as
// it stands too.
// https://cloud.tencent.com/document/api/598/36221
func (d *doctor) judgeExecutionRole(context.Context) finding {
	const maxRoleBytes = 128
	role := d.settings.environment.Process["FUNCTION_ROLE"]
	odd := strings.ContainsFunc(role, func(r rune) bool { return !strings.ContainsRune(letters+digits+"+=,.@_-", r) })
	switch {
	case role == "":
		return fail("is not set: the name of the execution role. Without one the function gets no credentials for COS", "set it")
	case strings.Contains(role, ":"):
		return fail("is the whole description of a role", "set its name alone, what stands behind roleName/")
	case odd || len(role) > maxRoleBytes:
		return fail(fmt.Sprintf("%.150q is no name that CAM takes: up to 128 letters, digits and + = , . @ _ -", role), "set the name that the CAM console shows")
	case role == "SCF_QcsRole":
		return warn(role+" lets SCF itself read the code and the like", "make a role of its own for the function, with the policy of -policy")
	}
	return pass(role)
}

// maxVariablesBytes is what the platform takes of variables, names and values together.
// https://cloud.tencent.com/document/product/583/11637
const maxVariablesBytes = 4 << 10

func (d *doctor) judgeSize(context.Context) finding {
	size := 0
	for _, v := range config.Variables() {
		if value := d.settings.environment.Process[v.Name]; value != "" {
			size += len(v.Name) + len(value)
		}
	}
	if size >= maxVariablesBytes {
		return fail(fmt.Sprintf("the function's variables take %d bytes, and the platform fewer than %d", size, maxVariablesBytes),
			"name fewer buckets and workflows")
	}
	return passf("%d bytes", size)
}

// judgeToken never shows a token, and nothing of one.
func (d *doctor) judgeToken(context.Context) finding {
	if d.settings.authErr != nil {
		detail := strings.ReplaceAll(d.settings.authErr.Error(), checkToken+" ", "")
		return fail(detail, "a good one is the output of: openssl rand -hex 16")
	}
	if d.settings.auth.Open() {
		return warn("CALLBACK_AUTH=none: whoever learns the URL can write records", "set CALLBACK_TOKEN instead, and add ?token=… to the callback URL")
	}
	detail := "1 token"
	if n := len(d.settings.tokens); n > 1 {
		detail = fmt.Sprintf("%d tokens", n)
		switch {
		case d.deployed != "":
			detail += "; all are tried here"
		case d.url != nil:
			detail += "; the first is used here"
		}
	}
	for _, token := range d.settings.tokens {
		if isPlaceholder(token) {
			return fail(detail+", one of them a placeholder of the documentation", "a good one is the output of: openssl rand -hex 16")
		}
	}
	for _, token := range d.settings.tokens {
		if strings.ContainsFunc(token, func(r rune) bool { return !strings.ContainsRune(unreserved, r) }) {
			return warn(detail+", one with characters that mean something in a URL", "percent-encode it in the callback URL (a + would arrive as a space)")
		}
	}
	return pass(detail)
}

const (
	letters    = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	digits     = "0123456789"
	unreserved = letters + digits + "-._~" // what needs no encoding in a URL (RFC 3986)
)

func (d *doctor) judgeCredentials(context.Context) finding {
	for _, name := range shell.Keys() {
		if isPlaceholder(d.valueOf(name)) {
			return fail(name+" is a placeholder of the documentation", "set it to an API key of your own")
		}
	}
	if _, wrong := d.settings.problems["TENCENTCLOUD_SECRETID"]; wrong {
		return fail("TENCENTCLOUD_SECRETID and TENCENTCLOUD_SECRETKEY are not both set in this shell",
			"set them to an API key, for a temporary one TENCENTCLOUD_SESSIONTOKEN too; the function gets its own from its execution role")
	}
	if d.settings.config.Credentials.SessionToken != "" {
		return pass("a temporary key of this shell, not the function's role")
	}
	return pass("a key of this shell, not the function's role")
}
