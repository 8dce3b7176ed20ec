// Command echo is a function that returns what it was invoked with.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/tencentyun/scf-go-lib/cloudfunction"
	"github.com/tencentyun/scf-go-lib/functioncontext"
)

// echo returns what it sees of an invocation, or does what the payload says.
func echo(ctx context.Context, payload json.RawMessage) (any, error) {
	fmt.Println(string(payload))
	switch string(payload) {
	case `"fail"`:
		return nil, errors.New("it failed")
	case `"panic"`:
		panic("it panicked")
	case `"exit"`:
		os.Exit(3)
	case `"sleep"`:
		time.Sleep(200 * time.Millisecond)
	}
	f, _ := functioncontext.FromContext(ctx)
	deadline, _ := ctx.Deadline()
	return map[string]any{
		"Payload": string(payload),
		"Context": map[string]string{
			"id": f.RequestID, "region": f.TencentcloudRegion, "appid": f.TencentcloudAppID, "memory": strconv.Itoa(int(f.MemoryLimitInMb)),
			"namespace": f.Namespace, "name": f.FunctionName, "version": f.FunctionVersion,
		},
		"Invocation":  f.Environment,
		"Environment": os.Environ(),
		"Limit":       time.Duration(f.TimeLimitInMs) * time.Millisecond,
		"Left":        time.Until(deadline),
	}, nil
}

func main() {
	if os.Getenv("END_AT_ONCE") != "" {
		os.Exit(1)
	}
	cloudfunction.Start(echo)
}
