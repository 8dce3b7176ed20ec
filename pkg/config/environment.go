package config

import (
	"cmp"
	"slices"
	"strings"

	"github.com/ci-callback/ci-callback/pkg/cosname"
)

// Environment is what one invocation finds.
type Environment struct {
	Process    map[string]string // the process's variables, for settings alone
	Invocation map[string]string // what came with the invocation; takes precedence over Process
	Region     string            // the function's region; "" where the platform does not say
	AppID      string            // the account's AppID; "" where the platform does not say
}

// A Variable is an environment variable that is a setting.
type Variable struct {
	Name string
	// Default is the value of a variable that is not set. It is "" where there is none, or
	// where it depends on something else.
	Default string
	// Reconcile says that the variable is read at a timer's event alone.
	Reconcile bool
}

// Variables returns all settings, in the order of the documentation.
func Variables() []Variable { return slices.Clone(variables) }

var variables = []Variable{
	{Name: "RECORD_BUCKET"},
	{Name: "RECORD_REGION"},
	{Name: "RECORD_PREFIX", Default: "ci/"},
	{Name: "CALLBACK_TOKEN"},
	{Name: "CALLBACK_AUTH"},
	{Name: "TAG_MD5", Default: "false"},
	{Name: "MD5_TAG_KEY", Default: "md5"},
	{Name: "TAG_BUCKETS"},
	{Name: "COS_ENDPOINT", Default: cosname.COSEndpoint},
	{Name: "MAX_BODY_BYTES", Default: "6291456"},
	{Name: "LOG_LEVEL", Default: "info"},
	{Name: "RECONCILE_BUCKETS", Reconcile: true},
	{Name: "RECONCILE_TYPES", Reconcile: true, Default: "Transcode,Animation,Snapshot,SmartCover,Concat,VoiceSeparate,VideoMontage,SDRtoHDR,VideoProcess,SuperResolution,Segment," +
		"DigitalWatermark,ExtractDigitalWatermark,VideoTag,MediaInfo,StreamExtract,QualityEstimate,Tts,NoiseReduction,Translation,SpeechRecognition," +
		"WordsGeneralize,VideoEnhance"}, // https://cloud.tencent.com/document/product/1045/73114
	{Name: "RECONCILE_WORKFLOWS", Reconcile: true},
	{Name: "RECONCILE_DAYS", Reconcile: true, Default: "3"},
	{Name: "CI_ENDPOINT", Reconcile: true, Default: cosname.CIEndpoint},
}

// Error says what is wrong with a variable.
type Error struct {
	Variable string
	Problem  string // what is wrong, and what to do
}

// Error returns both in one line.
func (e *Error) Error() string { return e.Variable + " " + e.Problem }

// Errors are all that is wrong with the environment, in the order of the documentation.
type Errors []*Error

// Error returns all of them in one line.
func (e Errors) Error() string {
	texts := make([]string, len(e))
	for i, err := range e {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

// Unwrap returns each of them.
func (e Errors) Unwrap() []error {
	errs := make([]error, len(e))
	for i, err := range e {
		errs[i] = err
	}
	return errs
}

// reader reads variables, and collects what is wrong with them.
type reader struct {
	environment Environment
	wrong       Errors
}

// err returns all that was wrong, or nil.
func (r *reader) err() error {
	if len(r.wrong) == 0 {
		return nil
	}
	return r.wrong
}

// complain notes what is wrong with a variable, which then has its default.
func (r *reader) complain(name, problem string) {
	r.wrong = append(r.wrong, &Error{name, problem})
}

func (r *reader) isWrong(name string) bool {
	return slices.ContainsFunc(r.wrong, func(e *Error) bool { return e.Variable == name })
}

// value returns a variable, or its default. One that is set to nothing counts as not set:
// deploy files write those for what was left out.
func (r *reader) value(name string) string {
	value, found := r.environment.Invocation[name]
	if !found {
		value = r.environment.Process[name]
	}
	if strings.TrimSpace(value) != "" && !r.isWrong(name) {
		return value
	}
	if i := slices.IndexFunc(variables, func(v Variable) bool { return v.Name == name }); i >= 0 {
		return variables[i].Default
	}
	return ""
}

// read returns what parse makes of a variable. If parse fails, it says what the variable
// must be, without the value, which could be a secret.
func read[T any](r *reader, name, must string, parse func(string) (T, error)) T {
	value, err := parse(r.value(name))
	if err != nil {
		r.complain(name, "must be "+must)
		value, _ = parse(r.value(name))
	}
	return value
}

// text returns a variable that passes a check, or "" if it is not set.
func (r *reader) text(name string, check func(string) error) string {
	if value := r.value(name); value != "" {
		if err := check(value); err != nil {
			r.complain(name, "is wrong: "+err.Error())
		}
	}
	return r.value(name)
}

// list returns the parts of a variable between its commas, each of which passes a check.
// It is nil if the variable is not set.
func (r *reader) list(name string, check func(string) error) []string {
	for _, part := range splitList(r.value(name)) {
		if err := check(part); err != nil {
			r.complain(name, "is wrong: "+err.Error())
			break
		}
	}
	return splitList(r.value(name))
}

func splitList(s string) []string {
	if s == "" {
		return nil
	}
	parts := strings.Split(s, ",")
	for i, part := range parts {
		parts[i] = strings.TrimSpace(part)
	}
	return parts
}

// region returns the region of the function itself, or "".
func (r *reader) region() string {
	return cmp.Or(r.environment.Region, strings.TrimSpace(r.value("TENCENTCLOUD_REGION")))
}
