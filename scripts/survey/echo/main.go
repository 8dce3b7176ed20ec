// Command echo is an SCF function that shows the trigger event it gets, for
// scripts/survey. Deploy it for the time of a survey, as an event function (runtime Go1,
// handler main) with a function URL (public access, open), and delete it afterwards:
//
//	CGO_ENABLED=0 GOOS=linux GOARCH=amd64 go build -o main ./scripts/survey/echo && zip echo.zip main
//
// It needs no permission. It tells whoever asks the event, which holds the asker's own
// headers, and of the credentials only whether there are any.
package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"

	"github.com/tencentyun/scf-go-lib/cloudfunction"
	"github.com/tencentyun/scf-go-lib/functioncontext"
)

// response is an integrated response.
type response struct {
	IsBase64Encoded bool              `json:"isBase64Encoded"`
	StatusCode      int               `json:"statusCode"`
	Headers         map[string]string `json:"headers"`
	Body            string            `json:"body"`
}

func main() {
	credentialsAtStart := os.Getenv("TENCENTCLOUD_SECRETID") != ""
	cloudfunction.Start(func(ctx context.Context, payload json.RawMessage) (any, error) {
		return echo(ctx, payload, credentialsAtStart)
	})
}

// echo answers with the event, or does what the parameter named do says.
func echo(ctx context.Context, payload json.RawMessage, credentialsAtStart bool) (any, error) {
	var event struct {
		QueryString map[string]any
		Body        string
	}
	_ = json.Unmarshal(payload, &event) // an event of another form is shown all the same
	r := response{StatusCode: 200, Headers: map[string]string{"Content-Type": "application/json"}}
	switch event.QueryString["do"] {
	case "error":
		return nil, errors.New("an error of the function, as asked for")
	case "status":
		r.StatusCode, r.Headers["Retry-After"] = 503, "30"
		return r, nil
	case "base64":
		r.IsBase64Encoded, r.Body = true, base64.StdEncoding.EncodeToString([]byte("decoded"))
		return r, nil
	case "size": // without the event, which is too large to send back
		payload = nil
	}
	f, _ := functioncontext.FromContext(ctx)
	body, err := json.Marshal(map[string]any{
		"event": payload, "bodyBytes": len(event.Body),
		"credentialsAtStart": credentialsAtStart, "credentials": f.Environment["TENCENTCLOUD_SECRETID"] != "",
	})
	r.Body = string(body)
	return r, err
}
