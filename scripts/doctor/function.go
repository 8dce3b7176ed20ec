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
	"slices"
	"strings"
	"time"

	"github.com/ci-callback/ci-callback/scripts/internal/wire"
)

// Names of the checks of the deployed function.
const (
	checkAnswers = "function answers"
	checkRefuses = "wrong token refused"
	checkAccepts = "probe accepted"
	checkRole    = "function's role"
)

// probe is the body of a callback that the function answers without storing anything.
const probe = ""

// functionReply is what an answer of the function says.
type functionReply struct {
	status           int
	contentType      string
	Service, Version string
	Rejected         string
	Error            struct{ Code, Message string }
	Results          []struct{ Outcome string }
}

func (r functionReply) String() string {
	if r.Error.Code != "" {
		return fmt.Sprintf("%d %.50s: %.300s", r.status, r.Error.Code, r.Error.Message)
	}
	return fmt.Sprintf("%d, Content-Type %.80q", r.status, r.contentType)
}

// checkFunction asks the deployed function, where -url names one.
func (d *doctor) checkFunction(ctx context.Context) {
	if d.url == nil {
		return
	}
	d.check(ctx, checkAnswers, nil, d.askVersion)
	d.check(ctx, checkRefuses, []string{checkToken, checkAnswers}, d.tryWrongTokens)
	d.check(ctx, checkAccepts, []string{checkToken, checkAnswers}, d.tryProbe)
	if d.role {
		d.check(ctx, checkRole, []string{checkToken, checkAnswers, checkAccepts}, d.tryRole)
	}
}

// checkDeployed asks the deployed function until it is the version that was just
// deployed, with the tokens that were just set, or until time is over: the platform
// exchanges code and variables some seconds after it says that it did.
func (d *doctor) checkDeployed(ctx context.Context) {
	d.check(ctx, checkToken, nil, d.judgeToken)
	d.check(ctx, checkAnswers, nil, untilGood(d.askDeployed))
	d.check(ctx, checkAccepts, []string{checkToken, checkAnswers}, untilGood(d.tryAllTokens))
	d.check(ctx, checkRefuses, []string{checkToken, checkAnswers}, untilGood(d.tryWrongTokens))
}

// askAgainAfter is how long untilGood waits.
const askAgainAfter = 2 * time.Second

// untilGood returns a check that is made again and again until it does not fail, or ctx
// ends.
func untilGood(examine func(context.Context) finding) func(context.Context) finding {
	return func(ctx context.Context) (f finding) {
		for {
			again := examine(ctx)
			if f.Verdict == "" || ctx.Err() == nil { // that time is over says nothing of the function
				f = again
			}
			if f.Verdict != verdictFailed || ctx.Err() != nil {
				return f
			}
			select {
			case <-ctx.Done():
				return f
			case <-time.After(askAgainAfter):
			}
		}
	}
}

// askDeployed wants the version that was just deployed.
func (d *doctor) askDeployed(ctx context.Context) finding {
	r, f := d.readVersion(ctx)
	if f.Verdict == verdictOK && r.Version != d.deployed {
		return fail(fmt.Sprintf("version %.100s answers, not %s", r.Version, d.deployed), "the last deployment did not reach the function: see what the CLI said, and deploy again")
	}
	return f
}

// send sends a request to the function, without a token where it is "".
func (d *doctor) send(ctx context.Context, method, token, body string) (functionReply, error) {
	ctx, cancel := context.WithTimeout(ctx, wire.MaxDuration)
	defer cancel()
	u := *d.url
	if token != "" {
		u.RawQuery = url.Values{"token": {token}}.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, method, u.String(), strings.NewReader(body))
	if err != nil {
		return functionReply{}, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := d.client().HTTP().Do(request)
	if err != nil {
		return functionReply{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, wire.MaxAnswerBytes))
	if err != nil {
		return functionReply{}, err
	}
	r := functionReply{status: response.StatusCode, contentType: response.Header.Get("Content-Type")}
	_ = json.Unmarshal(text, &r) // what somebody else answers has none of the fields
	return r, nil
}

const checkURL = "check -url: the SCF console shows it under the function's name, Function URL (public access, open); " +
	"and check that the last deployment succeeded"

func (d *doctor) askVersion(ctx context.Context) finding {
	_, f := d.readVersion(ctx)
	return f
}

// readVersion asks what answers at the address, and in which version.
func (d *doctor) readVersion(ctx context.Context) (functionReply, finding) {
	r, err := d.send(ctx, http.MethodGet, "", "")
	switch {
	case err != nil:
		return r, noAnswer(err)
	case r.status != http.StatusOK || r.Service != "ci-callback":
		return r, fail("what answers is not ci-callback: "+r.String(), checkURL)
	}
	return r, passf("%s, version %.100s", d.url.Host, r.Version)
}

// tryWrongTokens sends a token that nobody has, and none. Neither stores anything, even
// where it is let in.
func (d *doctor) tryWrongTokens(ctx context.Context) finding {
	if d.settings.auth.Open() {
		return warn("not tried: CALLBACK_AUTH=none lets everybody in", "set CALLBACK_TOKEN")
	}
	for _, token := range []string{"doctor-" + strings.ToLower(rand.Text()), ""} {
		r, err := d.send(ctx, http.MethodPost, token, probe)
		switch {
		case err != nil:
			return noAnswer(err)
		case r.status == http.StatusOK:
			return fail("it lets everybody in: CALLBACK_AUTH=none is set there",
				"set CALLBACK_TOKEN in the function's variables, remove CALLBACK_AUTH, and deploy")
		case r.status != http.StatusUnauthorized:
			return d.unexpected(r, token)
		}
	}
	return pass("401 for a wrong token, and 401 for none")
}

// unexpected returns the finding for an answer of the function that is not the one hoped
// for, to a request with a token.
func (d *doctor) unexpected(r functionReply, token string) finding {
	remedies := map[string]string{
		"misconfigured": "correct the function's variables, or its role, and deploy again",
		"unauthorized":  d.tokenRemedy(token),
		"unavailable":   "COS was out of reach for the function: run it again a little later",
		"internal":      "look in the function's log, and report the bug",
	}
	remedy, known := remedies[r.Error.Code]
	if !known {
		remedy = checkURL
	}
	return fail("it answers "+r.String(), remedy)
}

// tokenRemedy says what to do where the function refuses a token of these settings, which
// it does not show.
func (d *doctor) tokenRemedy(token string) string {
	if d.settings.auth.Open() {
		return "the function wants a token, and CALLBACK_AUTH=none is set here: make them the same, and deploy"
	}
	which := "the first token"
	if i := slices.Index(d.settings.tokens, token); i > 0 {
		which = fmt.Sprintf("token %d", i+1)
	}
	return which + " of CALLBACK_TOKEN here is none of the function's: make them the same, and deploy"
}

// token returns the token to come in with, or "" where none is asked for.
func (d *doctor) token() string {
	if d.settings.auth.Open() || len(d.settings.tokens) == 0 {
		return ""
	}
	return d.settings.tokens[0]
}

func (d *doctor) tryProbe(ctx context.Context) finding { return d.tryToken(ctx, d.token()) }

// tryAllTokens wants every token taken: while a token is being changed, the function that
// was deployed before takes the old one too.
func (d *doctor) tryAllTokens(ctx context.Context) finding {
	if d.settings.auth.Open() {
		return d.tryProbe(ctx)
	}
	var f finding
	for _, token := range d.settings.tokens {
		if f = d.tryToken(ctx, token); f.Verdict != verdictOK {
			break
		}
	}
	return f
}

// tryToken sends the probe with a token, without one where it is "".
func (d *doctor) tryToken(ctx context.Context, token string) finding {
	r, err := d.send(ctx, http.MethodPost, token, probe)
	switch {
	case err != nil:
		return noAnswer(err)
	case r.status != http.StatusOK:
		return d.unexpected(r, token)
	case len(r.Results) != 1 || r.Results[0].Outcome != "probe":
		return fail("it answers 200, but does not know the probe", "deploy this version: scripts/deploy.sh")
	}
	return pass("200, outcome probe: the token and the settings are right")
}

// tryRole has the function store a body that is no callback, and removes it however that
// went: an answer may have been lost after the body was stored.
func (d *doctor) tryRole(ctx context.Context) finding {
	body := []byte("ci-callback doctor " + d.random)
	key, f := d.storeRejectedTwice(ctx, string(body))
	named := key != ""
	if !named { // if it was stored at all, it is there
		key = fmt.Sprintf("%srejected/%x", d.settings.config.RecordPrefix, sha256.Sum256(body))
	}
	removed := d.removeRejected(context.WithoutCancel(ctx), key, body)
	switch {
	case removed.Verdict == verdictOK || removed.Verdict == verdictSkipped && !named:
		return f
	case f.Verdict == verdictOK:
		return warn(f.Detail+"; "+removed.Detail, removed.Remedy)
	}
	return fail(f.Detail+"; "+removed.Detail, f.Remedy+"; "+removed.Remedy)
}

// storeRejectedTwice sends a body that is no callback, twice, and returns the key under
// which the function says it is. The first time the function stores the body under
// rejected/. The second time COS refuses the write (create-only), and the function reads
// instead. So its own role must be able to do both.
func (d *doctor) storeRejectedTwice(ctx context.Context, body string) (key string, f finding) {
	for range 2 {
		r, err := d.send(ctx, http.MethodPost, d.token(), body)
		if err != nil {
			return key, noAnswer(err)
		}
		if r.status != http.StatusBadRequest || r.Rejected == "" {
			return key, d.unexpected(r, d.token())
		}
		key = r.Rejected
	}
	return key, pass("may write and read in the function's record bucket")
}

// removeRejected removes, with this shell's key, what the function stored. It looks first
// whether that is the very body that was sent, and returns a skipped finding where it is
// not.
func (d *doctor) removeRejected(ctx context.Context, key string, body []byte) finding {
	byHand := fmt.Sprintf("delete %.200s in the function's record bucket by hand, when you like; it does no harm", key)
	notFound := finding{verdictSkipped, "what it wrote is left over", byHand}
	if _, unmet := d.firstUnmet(append(slices.Clone(cosSettings), checkReached, checkAccepted, checkBucket)); unmet {
		return notFound
	}
	b, err := d.bucketAt(d.settings.config.RecordBucket, d.settings.config.RecordRegion)
	if err != nil {
		return notFound
	}
	stored, err := b.Do(ctx, wire.Request{Method: http.MethodGet, Path: key})
	if err != nil || stored.Status != http.StatusOK || !bytes.Equal(stored.Body, body) {
		notFound.Detail += ": it was not found in " + b.Bucket + ", so the function may have another RECORD_BUCKET"
		return notFound
	}
	return removeObject(ctx, b, key)
}
