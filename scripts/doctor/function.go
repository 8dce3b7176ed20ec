package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Names of the checks of the deployed function.
const (
	checkAnswers = "function answers"
	checkRefuses = "wrong token refused"
	checkAccepts = "console probe accepted"
	checkRole    = "function's role"
)

// consoleProbe is what CI's console sends when a moderation callback URL is saved. The
// function answers it and stores nothing.
const consoleProbe = `{"code":0,"message":"Test request when setting callback url","data":{"trace_id":"test_trace_id","url":"test_url"}}`

// spoken is what an answer of the function says.
type spoken struct {
	status           int
	contentType      string
	Service, Version string
	Rejected         string
	Error            struct{ Code, Message string }
	Results          []struct{ Outcome string }
}

func (s spoken) String() string {
	if s.Error.Code != "" {
		return fmt.Sprintf("%d %.50s: %.300s", s.status, s.Error.Code, s.Error.Message)
	}
	return fmt.Sprintf("%d, Content-Type %.80q", s.status, s.contentType)
}

// checkFunction asks the deployed function, where -url names one.
func (d *doctor) checkFunction(ctx context.Context) {
	if d.url == nil {
		return
	}
	d.check(ctx, checkAnswers, nil, d.answers)
	d.check(ctx, checkRefuses, []string{checkToken, checkAnswers}, d.refuses)
	d.check(ctx, checkAccepts, []string{checkToken, checkAnswers}, d.accepts)
	if d.role {
		d.check(ctx, checkRole, []string{checkToken, checkAnswers, checkAccepts}, d.stores)
	}
}

// say sends a request to the function. token "" means none.
func (d *doctor) say(ctx context.Context, method, token, body string) (spoken, error) {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	u := *d.url
	if token != "" {
		u.RawQuery = url.Values{"token": {token}}.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), strings.NewReader(body))
	if err != nil {
		return spoken{}, explain(err)
	}
	req.Header.Set("Content-Type", "application/json")
	response, err := d.client().Do(req)
	if err != nil {
		return spoken{}, explain(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, mostAnswer))
	if err != nil {
		return spoken{}, explain(err)
	}
	s := spoken{status: response.StatusCode, contentType: response.Header.Get("Content-Type")}
	_ = json.Unmarshal(text, &s) // an answer of somebody else has none of the fields
	return s, nil
}

const notOurs = "check -url: the SCF console shows it under the function's name, Function URL (public access, open); and that the last deployment succeeded"

func (d *doctor) answers(ctx context.Context) finding {
	s, err := d.say(ctx, http.MethodGet, "", "")
	switch {
	case err != nil:
		return trouble(err)
	case s.status != http.StatusOK || s.Service != "ci-callback":
		return fail("what answers is not ci-callback: "+s.String(), notOurs)
	}
	return wellf("%s, version %.100s", d.url.Host, s.Version)
}

// refuses sends a token that nobody has, and none. The body is one that would not be
// stored if it got in.
func (d *doctor) refuses(ctx context.Context) finding {
	if d.settings.auth.Open() {
		return warn("not tried: CALLBACK_AUTH=none lets everybody in", "set CALLBACK_TOKEN")
	}
	for _, token := range []string{"doctor-" + strings.ToLower(rand.Text()), ""} {
		s, err := d.say(ctx, http.MethodPost, token, consoleProbe)
		switch {
		case err != nil:
			return trouble(err)
		case s.status == http.StatusOK:
			return fail("it lets in whoever comes: CALLBACK_AUTH=none is set there", "set CALLBACK_TOKEN in the function's variables, remove CALLBACK_AUTH, and deploy")
		case s.status != http.StatusUnauthorized:
			return unexpected(s)
		}
	}
	return well("401, and 401 without a token")
}

// unexpected makes a finding of an answer that is not the one hoped for.
func unexpected(s spoken) finding {
	detail := "it answers " + s.String()
	switch s.Error.Code {
	case "misconfigured":
		return fail(detail, "correct the function's variables, or its role, and deploy again")
	case "unauthorized":
		return fail(detail, "the first token of CALLBACK_TOKEN here is none of the function's: make them the same, and deploy")
	case "unavailable":
		return fail(detail, "COS was out of reach for the function: run it again a little later")
	case "internal":
		return fail(detail, "look in the function's log, and report it")
	}
	return fail(detail, notOurs)
}

// token is the one to come in with; none where none is asked for.
func (d *doctor) token() string {
	if d.settings.auth.Open() || len(d.settings.tokens) == 0 {
		return ""
	}
	return d.settings.tokens[0]
}

func (d *doctor) accepts(ctx context.Context) finding {
	s, err := d.say(ctx, http.MethodPost, d.token(), consoleProbe)
	switch {
	case err != nil:
		return trouble(err)
	case s.status != http.StatusOK:
		return unexpected(s)
	case len(s.Results) != 1 || s.Results[0].Outcome != "probe":
		return fail("it answers 200, and does not know the console's probe", "deploy this version: scripts/deploy.sh")
	}
	return well("200, outcome probe: the token and the settings are right")
}

// stores has the function keep a body, and takes that back however it went: the first
// answer may be lost, or the second be an error.
func (d *doctor) stores(ctx context.Context) finding {
	body := []byte("ci-callback doctor " + d.random)
	key, f := d.keeps(ctx, string(body))
	named := key != ""
	if !named { // it is kept there if at all
		key = fmt.Sprintf("%srejected/%x", d.settings.config.RecordPrefix, sha256.Sum256(body))
	}
	left := d.takeBack(context.WithoutCancel(ctx), key, body)
	switch {
	case left.Verdict == ok || left.Verdict == skipped && !named:
		return f
	case f.Verdict == ok:
		return warn(f.Detail+"; "+left.Detail, left.Remedy)
	}
	return fail(f.Detail+"; "+left.Detail, f.Remedy+"; "+left.Remedy)
}

// keeps sends a body that is no callback, twice, and gives the key under which the
// function says it is. The function keeps it under rejected/ at the first time; at the
// second it is refused by COS (create-only) and reads. So its own role must be able to
// do both.
func (d *doctor) keeps(ctx context.Context, body string) (key string, f finding) {
	for range 2 {
		s, err := d.say(ctx, http.MethodPost, d.token(), body)
		if err != nil {
			return key, trouble(err)
		}
		if s.status != http.StatusBadRequest || s.Rejected == "" {
			return key, unexpected(s)
		}
		key = s.Rejected
	}
	return key, well("may write and read in the function's record bucket")
}

// takeBack removes what the function kept, with this shell's key. It looks first whether
// that is the very body that was sent: skipped where it is not there.
func (d *doctor) takeBack(ctx context.Context, key string, body []byte) finding {
	byHand := fmt.Sprintf("delete %.200s in the function's record bucket by hand, when you like; it does no harm", key)
	notFound := finding{skipped, "what it wrote is left over", byHand}
	if _, missing := d.missing(append(cosSettings, checkReached, checkAccepted, checkBucket)); missing {
		return notFound
	}
	b, err := d.bucket(d.settings.config.RecordBucket, d.settings.config.RecordRegion)
	if err != nil {
		return notFound
	}
	r := &records{bucket: b}
	kept, err := r.do(ctx, request{method: http.MethodGet, key: key})
	if err != nil || kept.status != http.StatusOK || !bytes.Equal(kept.body, body) {
		notFound.Detail += ": it was not found in " + r.name + ", so the function may have another RECORD_BUCKET"
		return notFound
	}
	return r.remove(ctx, key)
}
