// Package echo is the function that scripts/survey asks about SCF. It shows the trigger
// event it gets, or does what the parameter named do says. It is a package, and not only
// a command, so that the survey reads by the same types what the function writes.
package echo

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/tencentyun/scf-go-lib/cloudfunction"
	"github.com/tencentyun/scf-go-lib/functioncontext"
)

// Response is an integrated response, with whatever it is that is to be tried out.
type Response struct {
	IsBase64Encoded bool           `json:"isBase64Encoded"`
	StatusCode      any            `json:"statusCode"`
	Headers         map[string]any `json:"headers"`
	Body            string         `json:"body"`
}

// Seen is what the function says of an invocation, in the body of its answer.
type Seen struct {
	Event     json.RawMessage `json:"event"` // null where it is too large to send back
	BodyBytes int             `json:"bodyBytes"`

	CredentialsAtStart bool     `json:"credentialsAtStart"`
	Credentials        bool     `json:"credentials"`      // of the invocation
	VariablesAtStart   []string `json:"variablesAtStart"` // their names

	Region      string `json:"region"`
	AppID       string `json:"appID"`
	TimeLimitMS int64  `json:"timeLimitMS"`
	LeftMS      int64  `json:"leftMS"` // until the deadline; 0 where there is none
}

// Start answers invocations until the process ends. It says so if SIGTERM ends it.
func Start() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	go func() {
		<-stop
		fmt.Println("survey: SIGTERM")
		os.Exit(0)
	}()
	start := Seen{CredentialsAtStart: os.Getenv("TENCENTCLOUD_SECRETID") != ""}
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		start.VariablesAtStart = append(start.VariablesAtStart, name)
	}
	slices.Sort(start.VariablesAtStart)
	cloudfunction.StartHandler(handler(func(ctx context.Context, payload []byte) ([]byte, error) {
		r, err := answer(ctx, payload, start)
		if err != nil {
			return nil, err
		}
		return json.Marshal(r)
	}))
}

// handler is a function that is invoked with the event as it came.
type handler func(context.Context, []byte) ([]byte, error)

func (h handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) { return h(ctx, payload) }

// answer answers with the event, or does what the parameter named do says.
func answer(ctx context.Context, payload []byte, s Seen) (*Response, error) {
	var event struct {
		QueryString map[string]any
		Body        string
	}
	_ = json.Unmarshal(payload, &event) // an event of another form is shown all the same
	r := &Response{StatusCode: 200, Headers: map[string]any{"Content-Type": "application/json"}}
	switch event.QueryString["do"] {
	case "error":
		return nil, errors.New("an error of the function, as asked for")
	case "panic":
		panic("a panic of the function, as asked for")
	case "exit":
		os.Exit(1)
	case "timeout":
		sleepTooLong(ctx)
		return r, nil
	case "status":
		r.StatusCode, r.Headers["Retry-After"] = 503, "30"
		return r, nil
	case "malformed":
		r.StatusCode = "fine"
		return r, nil
	case "lists":
		r.Headers["Set-Cookie"] = []string{"a=1", "b=2"}
		return r, nil
	case "base64":
		r.IsBase64Encoded, r.Body = true, base64.StdEncoding.EncodeToString([]byte("decoded"))
		return r, nil
	case "size": // without the event, which is too large to send back
	default:
		s.Event = payload
	}
	s.BodyBytes = len(event.Body)
	s.readContext(ctx)
	body, err := json.Marshal(s)
	r.Body = string(body)
	return r, err
}

// sleepTooLong sleeps two seconds past the time limit.
func sleepTooLong(ctx context.Context) {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(5 * time.Second)
	}
	time.Sleep(time.Until(deadline) + 2*time.Second)
}

// readContext adds what came with the invocation beside the event.
func (s *Seen) readContext(ctx context.Context) {
	if f, ok := functioncontext.FromContext(ctx); ok {
		s.Credentials = f.Environment["TENCENTCLOUD_SECRETID"] != ""
		s.Region, s.AppID, s.TimeLimitMS = f.TencentcloudRegion, f.TencentcloudAppID, int64(f.TimeLimitInMs)
	}
	if deadline, ok := ctx.Deadline(); ok {
		s.LeftMS = time.Until(deadline).Milliseconds()
	}
}
