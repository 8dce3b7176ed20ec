package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ci-callback/ci-callback/internal/testprogram"
	"github.com/ci-callback/ci-callback/pkg/cilocal"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
	"github.com/ci-callback/ci-callback/pkg/scflocal"
)

// fake answers as the function would, or nearly.
type fake struct {
	get, wrong, right string // bodies
	wrongStatus       int
	rightStatus       int
	takesNone         bool // lets a request in that has no token
}

func goodFake() fake {
	return fake{
		get:         `{"service":"ci-callback","version":"v1.2.3"}`,
		wrongStatus: 401, wrong: `{"error":{"code":"unauthorized","message":"the query parameter token is missing or wrong"}}`,
		rightStatus: 200, right: `{"results":[{"kind":"review","id":"test_trace_id","outcome":"probe"}]}`,
	}
}

func (f fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status, body := 200, f.get
	switch {
	case r.Method == http.MethodPost && r.Header.Get("Content-Type") != "application/json":
		status, body = http.StatusUnsupportedMediaType, "a gateway may want to know what comes"
	case r.Method == http.MethodPost:
		status, body = f.wrongStatus, f.wrong
		if token := r.URL.Query().Get("token"); token == firstToken || token == "" && f.takesNone {
			status, body = f.rightStatus, f.right
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body))
}

func TestFunction(t *testing.T) {
	t.Parallel()
	rest := func(from map[string]verdict) map[string]verdict {
		want := map[string]verdict{checkAnswers: verdictOK, checkRefuses: verdictSkipped, checkAccepts: verdictSkipped}
		for name, v := range from {
			want[name] = v
		}
		return want
	}
	tests := map[string]struct {
		change func(*fake)
		env    map[string]string
		want   map[string]verdict
		remedy string // a word of one of them
	}{
		"well": {func(*fake) {}, nil, rest(map[string]verdict{checkRefuses: verdictOK, checkAccepts: verdictOK}), ""},
		"not_ours": {func(f *fake) { f.get = "<html>Hello</html>" }, nil, rest(map[string]verdict{checkAnswers: verdictFailed}),
			"Function URL"},
		"another_service": {func(f *fake) { f.get = `{"service":"other"}` }, nil, rest(map[string]verdict{checkAnswers: verdictFailed}), ""},
		"wrong_token_accepted": {func(f *fake) { f.wrongStatus, f.wrong = f.rightStatus, f.right }, nil,
			rest(map[string]verdict{checkRefuses: verdictFailed, checkAccepts: verdictOK}), "CALLBACK_TOKEN"},
		"no_token_accepted": {func(f *fake) { f.takesNone = true }, nil,
			rest(map[string]verdict{checkRefuses: verdictFailed, checkAccepts: verdictOK}), "CALLBACK_TOKEN"},
		"wrong_token_answered_403": {func(f *fake) { f.wrongStatus, f.wrong = 403, `{}` }, nil,
			rest(map[string]verdict{checkRefuses: verdictFailed, checkAccepts: verdictOK}), "Function URL"},
		"token_differs": {func(f *fake) { f.rightStatus, f.right = f.wrongStatus, f.wrong }, nil,
			rest(map[string]verdict{checkRefuses: verdictOK, checkAccepts: verdictFailed}), "make them the same"},
		"misconfigured": {func(f *fake) {
			f.rightStatus, f.right = 500, `{"error":{"code":"misconfigured","message":"RECORD_BUCKET is not set"}}`
		}, nil, rest(map[string]verdict{checkRefuses: verdictOK, checkAccepts: verdictFailed}), "variables"},
		"no_token_there": {func(f *fake) {
			f.wrongStatus, f.wrong = 500, `{"error":{"code":"misconfigured","message":"CALLBACK_TOKEN is not set"}}`
		}, nil, rest(map[string]verdict{checkRefuses: verdictFailed, checkAccepts: verdictOK}), "variables"},
		"unavailable": {func(f *fake) { f.rightStatus, f.right = 503, `{"error":{"code":"unavailable"}}` }, nil,
			rest(map[string]verdict{checkRefuses: verdictOK, checkAccepts: verdictFailed}), "later"},
		"old_version": {func(f *fake) { f.right = `{"results":[{"outcome":"created"}]}` }, nil,
			rest(map[string]verdict{checkRefuses: verdictOK, checkAccepts: verdictFailed}), "deploy"},
		"platform_error": {func(f *fake) {
			f.rightStatus, f.right = 430, `{"errorCode":1,"errorMessage":"user code exception caught"}`
		}, nil,
			rest(map[string]verdict{checkRefuses: verdictOK, checkAccepts: verdictFailed}), ""},
		"secrets_in_the_answer": {func(f *fake) {
			f.rightStatus, f.right = 500, `{"error":{"code":"misconfigured","message":"`+firstToken+" "+credential.SecretKey+`"}}`
		}, nil, rest(map[string]verdict{checkRefuses: verdictOK, checkAccepts: verdictFailed}), ""},
		"no_token_here": {func(*fake) {}, map[string]string{"CALLBACK_TOKEN": ""}, rest(nil), ""},
		"token_wanted_there": {func(*fake) {}, map[string]string{"CALLBACK_AUTH": "none"},
			rest(map[string]verdict{checkRefuses: verdictWarning, checkAccepts: verdictFailed}), "CALLBACK_AUTH=none is set here"},
		"everybody": {func(f *fake) { f.wrongStatus, f.wrong = f.rightStatus, f.right }, map[string]string{"CALLBACK_AUTH": "none"},
			rest(map[string]verdict{checkRefuses: verdictWarning, checkAccepts: verdictOK}), "CALLBACK_TOKEN"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClinic(t, coslocal.Options{})
			for name, value := range test.env {
				c.env[name] = value
			}
			f := goodFake()
			test.change(&f)
			r := c.report("-url", serve(t, f.ServeHTTP)+"/?token="+url.QueryEscape(firstToken)) // as people paste it
			remedies := ""
			for name, want := range test.want {
				check := c.find(r, name)
				if check.Verdict != want {
					t.Errorf("%+v, want %s", check, want)
				}
				remedies += check.Remedy
			}
			if !strings.Contains(remedies, test.remedy) {
				t.Errorf("no remedy names %q: %s", test.remedy, remedies)
			}
		})
	}
}

// TestDeployed asks a function that becomes the new version, with the new token, some
// time after the platform said so, by the clock of a bubble.
func TestDeployed(t *testing.T) {
	t.Parallel()
	const old = `{"service":"ci-callback","version":"v1.2.2"}`
	for name, test := range map[string]struct {
		code, token time.Duration // when the new ones are there
		open        time.Duration // until when everybody is let in
		change      func(*fake)
		want        map[string]verdict
		detail      string // of the first that is not ok
		took        time.Duration
	}{
		"at_once":   {0, 0, 0, func(*fake) {}, nil, "", 0},
		"by_and_by": {5 * time.Second, 9 * time.Second, 0, func(*fake) {}, nil, "", 10 * time.Second},
		"code_never": {time.Hour, 0, 0, func(*fake) {}, map[string]verdict{checkAnswers: verdictFailed, checkAccepts: verdictSkipped, checkRefuses: verdictSkipped},
			"version v1.2.2 answers, not v1.2.3", time.Minute},
		"token_never": {0, time.Hour, 0, func(*fake) {}, map[string]verdict{checkAccepts: verdictFailed, checkRefuses: verdictFailed}, "it answers 401 unauthorized", time.Minute},
		"not_ours": {0, 0, 0, func(f *fake) { f.get = "<html>Hello</html>" }, map[string]verdict{checkAnswers: verdictFailed, checkAccepts: verdictSkipped, checkRefuses: verdictSkipped},
			"what answers is not ci-callback", time.Minute},
		"lets_everybody_in": {0, 0, 0, func(f *fake) { f.wrongStatus, f.wrong = f.rightStatus, f.right }, map[string]verdict{checkRefuses: verdictFailed}, "it lets everybody in", time.Minute},
		"let_everybody_in":  {0, 0, 5 * time.Second, func(*fake) {}, nil, "", 6 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				c := &clinic{t: t, ctx: t.Context(), now: time.Now, env: environmentFor("")}
				c.env["CALLBACK_TOKEN"] = secondToken
				c.transport = transportFunc(func(r *http.Request) (*http.Response, error) {
					f := goodFake()
					test.change(&f)
					if time.Since(began) < test.code {
						f.get = old
					}
					if time.Since(began) < test.open {
						f.wrongStatus, f.wrong = f.rightStatus, f.right
					}
					if time.Since(began) > 50*time.Second { // what it said before is what is reported
						<-r.Context().Done()
						return nil, r.Context().Err()
					}
					query := r.URL.Query()
					if query.Get("token") == secondToken && time.Since(began) >= test.token {
						query.Set("token", firstToken) // the fake's right one
					}
					r.URL.RawQuery = query.Encode()
					w := httptest.NewRecorder()
					f.ServeHTTP(w, r)
					return w.Result(), nil
				})
				r := c.report("-url", "https://function.example", "-deployed", "v1.2.3", "-timeout", "1m")
				c.wants(r, test.want)
				for _, check := range r.Checks {
					if check.Verdict != verdictOK {
						if !strings.Contains(check.Detail, test.detail) {
							t.Errorf("%+v, want %q", check, test.detail)
						}
						break
					}
				}
				if took := time.Since(began); took != test.took {
					t.Errorf("it took %v, want %v", took, test.took)
				}
			})
		})
	}
}

// TestDeployedTokens has a token changed: the function that was there before takes the
// first, and only the new one takes both.
func TestDeployedTokens(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		arrives time.Duration // when the second token does
		want    verdict
		remedy  string
		took    time.Duration
	}{
		"by_and_by": {5 * time.Second, verdictOK, "", 6 * time.Second},
		"never":     {time.Hour, verdictFailed, "token 2 of CALLBACK_TOKEN here is none of the function's", time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				c := &clinic{t: t, ctx: t.Context(), now: time.Now, env: environmentFor("")}
				c.transport = transportFunc(func(r *http.Request) (*http.Response, error) {
					if r.URL.Query().Get("token") == secondToken && time.Since(began) >= test.arrives {
						r.URL.RawQuery = url.Values{"token": {firstToken}}.Encode() // the fake's right one
					}
					w := httptest.NewRecorder()
					goodFake().ServeHTTP(w, r)
					return w.Result(), nil
				})
				check := c.find(c.report("-url", "https://function.example", "-deployed", "v1.2.3", "-timeout", "1m"), checkAccepts)
				if check.Verdict != test.want || !strings.HasPrefix(check.Remedy, test.remedy) {
					t.Errorf("%+v, want %s: %s", check, test.want, test.remedy)
				}
				if took := time.Since(began); took != test.took {
					t.Errorf("it took %v, want %v", took, test.took)
				}
			})
		})
	}
}

// TestFunctionUnreachable has nothing, or nobody in time, at the address, which is given
// with a token in it. What it says must fit what happened.
func TestFunctionUnreachable(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		address, detail, remedy string
	}{
		"refused":  {"http://127.0.0.1:1", "nothing listens there", "the port"},
		"not_tls":  {strings.Replace(serve(t, http.NotFound), "http:", "https:", 1), "no secure connection", "certificate"},
		"redirect": {serve(t, http.RedirectHandler(serve(t, goodFake().ServeHTTP), http.StatusFound).ServeHTTP), "not ci-callback: 302", "Function URL"},
		"stalled":  {serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), "no answer in time", "-timeout"},
		"broken":   {serve(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), "no answer: EOF", "network"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClinic(t, coslocal.Options{})
			r := c.report("-timeout", "500ms", "-url", test.address+"/?token="+secondToken)
			check := c.find(r, checkAnswers)
			if check.Verdict != verdictFailed || !strings.Contains(check.Detail, test.detail) || !strings.Contains(check.Remedy, test.remedy) {
				t.Errorf("%+v, want %q and %q", check, test.detail, test.remedy)
			}
			c.leavesNothing()
		})
	}
}

// TestFunctionDropsPosts breaks the connections of the requests that carry the token.
func TestFunctionDropsPosts(t *testing.T) {
	t.Parallel()
	c := newClinic(t, coslocal.Options{})
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			panic(http.ErrAbortHandler)
		}
		goodFake().ServeHTTP(w, r)
	})
	r := c.report("-url", address)
	if check := c.find(r, checkAccepts); check.Verdict != verdictFailed || strings.Contains(check.Detail, "token") {
		t.Errorf("%+v", check)
	}
}

// TestSecretsHidden has an answer that repeats a token as a URL holds it, and one that
// begins with another token: of neither may a part remain.
func TestSecretsHidden(t *testing.T) {
	t.Parallel()
	c := newClinic(t, coslocal.Options{})
	longer := firstToken + "-and-more"
	c.env["CALLBACK_TOKEN"] = firstToken + "," + longer
	f := goodFake()
	f.rightStatus, f.right = 500, `{"error":{"code":"misconfigured","message":"`+url.QueryEscape(firstToken)+" "+longer+`"}}`
	check := c.find(c.report("-url", serve(t, f.ServeHTTP)), checkAccepts)
	if want := "it answers 500 misconfigured: *** ***"; check.Detail != want {
		t.Errorf("%q, want %q", check.Detail, want)
	}
}

// TestControlCharacters has an answer that would clear the screen and add a line to the
// report, and a queue of such a name.
func TestControlCharacters(t *testing.T) {
	t.Parallel()
	c := newClinic(t, coslocal.Options{})
	c.addCI(cilocal.Options{}).Inject(coslocal.Fault{
		Match: func(r coslocal.Request) bool { return r.Key == "queue" }, Header: http.Header{"X-Ci-Request-Id": {"1"}},
		Body: []byte("<Response><QueueList><QueueId>p1</QueueId><Name>a\nok       a queue</Name></QueueList></Response>"),
	})
	f := goodFake()
	f.get = `{"service":"ci-callback","version":"\u001b[2Jv9\nok       a line"}`
	c.run("-url", serve(t, f.ServeHTTP))
	if strings.Contains(c.out, "\x1b") || strings.Contains(c.out, "\nok       a ") {
		t.Errorf("a stranger writes to the terminal:\n%q", c.out)
	}
	if want := "version \uFFFD[2Jv9\uFFFDok       a line\n"; !strings.Contains(c.out, want) {
		t.Errorf("it does not say %q:\n%s", want, c.out)
	}
}

// TestSecretsHiddenInRemedies has a function that names a key with a token in it, which
// the remedy repeats.
func TestSecretsHiddenInRemedies(t *testing.T) {
	t.Parallel()
	c := newClinic(t, coslocal.Options{})
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method != http.MethodPost || string(body) == probe {
			goodFake().ServeHTTP(w, r)
			return
		}
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"rejected":%q}`, "ci/"+firstToken)
	})
	if check := c.find(c.report("-url", address, "-role"), checkRole); !strings.Contains(check.Remedy, "delete ci/*** in") {
		t.Errorf("%+v", check)
	}
}

// TestRejectedBodyRemoved has the function store the body of -role and then go wrong. The
// doctor removes that body all the same, and nothing else.
func TestRejectedBodyRemoved(t *testing.T) {
	t.Parallel()
	const other = "ci/rejected/of-somebody-else"
	tests := map[string]struct {
		answers [2]string // key: stored, and its key named
		deny    string
		want    verdict
		left    bool // it says that something is
	}{
		"well":                 {[2]string{"key", "key"}, "", verdictOK, false},
		"first_answer_lost":    {[2]string{"lost", ""}, "", verdictFailed, false},
		"second_answer_lost":   {[2]string{"key", "lost"}, "", verdictFailed, false},
		"second_answer_500":    {[2]string{"key", "500"}, "", verdictFailed, false},
		"interrupted":          {[2]string{"key", "interrupted"}, "", verdictFailed, false},
		"may_not_be_removed":   {[2]string{"key", "500"}, "DeleteObject", verdictFailed, true},
		"nothing_kept":         {[2]string{"500", ""}, "", verdictFailed, false},
		"names_another_object": {[2]string{"other", "other"}, "", verdictWarning, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClinic(t, coslocal.Options{})
			c.cos.Deny(denyAll(test.deny))
			put := func(key, body string) {
				if err := c.cos.PutObject(recordBucket, key, coslocal.Object{Body: []byte(body)}); err != nil {
					t.Error(err)
				}
			}
			put(other, "a body of somebody else")
			prefix := "of-the-function/" // which may have other settings
			if test.answers[0] == "lost" {
				prefix = "ci/"
			}
			posts := 0
			address := serve(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				if r.Method != http.MethodPost || string(body) == probe {
					goodFake().ServeHTTP(w, r)
					return
				}
				answer := test.answers[posts]
				posts++
				key := fmt.Sprintf("%srejected/%x", prefix, sha256.Sum256(body))
				switch answer {
				case "500":
					w.WriteHeader(http.StatusInternalServerError)
					return
				case "other":
					key = other
				case "interrupted":
					c.cancel()
					<-r.Context().Done()
				default:
					put(key, string(body))
				}
				if answer == "lost" {
					panic(http.ErrAbortHandler)
				}
				w.WriteHeader(http.StatusBadRequest)
				fmt.Fprintf(w, `{"rejected":%q}`, key)
			})
			check := c.find(c.report("-url", address, "-role"), checkRole)
			if check.Verdict != test.want || strings.Contains(check.Detail, "left over") != test.left {
				t.Errorf("%+v", check)
			}
			keys := c.cos.Keys(recordBucket, "")
			if !slices.Contains(keys, other) {
				t.Error("the body of somebody else is gone")
			}
			if test.deny == "" && len(keys) != 1 {
				t.Errorf("left over: %q", keys)
			}
		})
	}
}

// TestRealFunction asks the function itself, built and run as the platform would.
func TestRealFunction(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds the function")
	}
	c := newClinic(t, coslocal.Options{Credentials: []coslocal.Credential{credential, {SecretID: "role-id", SecretKey: "role-key"}}})
	address := c.deploy()

	r := c.report("-url", address, "-role")
	if check := c.find(r, checkRole); !r.OK || check.Verdict != verdictOK {
		t.Errorf("%+v", r.Checks)
	}
	c.leavesNothing()

	for _, action := range []string{"PutObject", "GetObject"} {
		c.cos.Deny(func(r coslocal.Request) bool {
			return r.Action() == action && strings.Contains(r.Header.Get("Authorization"), "role-id")
		})
		r = c.report("-url", address, "-role")
		if check := c.find(r, checkRole); check.Verdict != verdictFailed || !strings.Contains(check.Detail, "name/cos:"+action) {
			t.Errorf("without %s: %+v", action, check)
		}
	}
	c.cos.Deny(denyAll("DeleteObject"))
	r = c.report("-url", address, "-role")
	if check := c.find(r, checkRole); check.Verdict != verdictWarning || !strings.Contains(check.Remedy, "ci/rejected/") {
		t.Errorf("left over: %+v", check)
	}
}

var buildFunction = testprogram.New("../../function")

func TestMain(m *testing.M) { testprogram.Main(m) }

// deploy builds and starts the function, with a role of its own, and returns its address.
func (c *clinic) deploy() string {
	c.t.Helper()
	binary := testprogram.Path(c.t, buildFunction)
	log, err := os.Create(filepath.Join(c.t.TempDir(), "log"))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = log.Close() })
	f, err := scflocal.Start(context.WithoutCancel(c.t.Context()), binary, nil, log)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = f.Stop() })
	settings := scflocal.Settings{Region: region, AppID: "1250000000", TimeLimit: 10 * time.Second, Environment: map[string]string{
		"RECORD_BUCKET": recordBucket, "CALLBACK_TOKEN": c.env["CALLBACK_TOKEN"], "COS_ENDPOINT": c.cos.Endpoint,
		"TENCENTCLOUD_SECRETID": "role-id", "TENCENTCLOUD_SECRETKEY": "role-key",
	}}
	gateway := httptest.NewServer(scflocal.Gateway{Invoke: func(r *http.Request, payload []byte) ([]byte, error) {
		return f.Invoke(r.Context(), settings, payload)
	}})
	c.t.Cleanup(gateway.Close)
	return gateway.URL
}
