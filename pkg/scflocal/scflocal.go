// Package scflocal runs a Go1 function on this machine the way SCF runs it: the built
// binary, told its port by _LAMBDA_SERVER_PORT, invoked over scf-go-lib's RPC with an
// environment and a deadline for each invocation, behind an HTTP gateway that makes
// trigger events of requests.
//
// It is for development and tests. It takes no memory limit and isolates nothing.
package scflocal

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/rpc"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"time"

	"github.com/tencentyun/scf-go-lib/cloudfunction/messages"
)

// Settings are what the platform hands over with each invocation.
type Settings struct {
	Environment map[string]string // variables of the function, and credentials of its role
	Region      string
	AppID       string
	TimeLimit   time.Duration // 0 means 30 seconds
	MemoryLimit int           // in MB; 0 means 128
}

// A Function is a running instance. It is safe for concurrent use, though SCF sends an
// instance of an event function one invocation at a time.
type Function struct {
	cmd     *exec.Cmd
	address string
	client  *rpc.Client
	exited  chan struct{}
	exitErr error
}

// starting is how long an instance may take to listen. SCF's default is 60 seconds.
const starting = 20 * time.Second

// Start starts the binary, with env (NAME=value) as all of its environment beside what
// SCF sets, and waits until it answers, or ctx ends. Its output goes to output. The
// instance runs until Stop, which the caller must call, whatever becomes of ctx and
// whatever signals this process gets: an invocation under way can still be waited for.
func Start(ctx context.Context, binary string, env []string, output io.Writer) (*Function, error) {
	ports.Lock()
	defer ports.Unlock()
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(binary)
	cmd.SysProcAttr = ownGroup()
	cmd.Env = append([]string{
		"_LAMBDA_SERVER_PORT=" + strconv.Itoa(port),
		"TENCENTCLOUD_RUNENV=SCF", "TENCENTCLOUD_TZ=UTC", "PATH=/usr/local/bin:/usr/bin:/bin", "LANG=en_US.UTF8",
	}, env...)
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start function: %w", err)
	}
	f := &Function{cmd: cmd, address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), exited: make(chan struct{})}
	go func() {
		f.exitErr = cmd.Wait()
		close(f.exited)
	}()
	if err := f.connect(ctx); err != nil {
		f.Stop()
		return nil, err
	}
	return f, nil
}

// ports is held from the choice of a port until the instance listens on it: a second
// instance with the same one could not, and its caller would talk to the first.
var ports sync.Mutex

// freePort finds a port that nobody listens on right now. It is none of those that the
// system gives to connections, which could take it in the meantime.
func freePort() (int, error) {
	const first, last = 20_000, 32_000
	for range 100 {
		port := first + mathrand.IntN(last-first)
		if l, err := net.Listen("tcp", ":"+strconv.Itoa(port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("find a free port: none of a hundred between %d and %d is", first, last)
}

// connect waits until the instance listens.
func (f *Function) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, starting)
	defer cancel()
	for wait := 100 * time.Microsecond; ; wait = min(2*wait, time.Millisecond) {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", f.address)
		if err == nil {
			f.client = rpc.NewClient(conn)
			return nil
		}
		select {
		case <-f.exited:
			return fmt.Errorf("the function ended before it listened: %v", f.exitErr)
		case <-ctx.Done():
			return fmt.Errorf("the function does not listen on %s: %w", f.address, err)
		case <-time.After(wait):
		}
	}
}

// Invoke sends one trigger event and gives what the function returns. An error of the
// function is a [*FunctionError].
func (f *Function) Invoke(ctx context.Context, s Settings, payload []byte) ([]byte, error) {
	request, err := s.request(payload)
	if err != nil {
		return nil, err
	}
	var response messages.InvokeResponse
	call := f.client.Go("Function.Invoke", request, &response, make(chan *rpc.Call, 1))
	select {
	case <-call.Done:
	case <-f.exited:
		return nil, fmt.Errorf("the function ended during an invocation: %v", f.exitErr)
	case <-ctx.Done():
		return nil, fmt.Errorf("invoke function: %w", ctx.Err())
	}
	if call.Error != nil {
		return nil, fmt.Errorf("invoke function: %w", call.Error)
	}
	if response.Error != nil {
		return nil, &FunctionError{Type: response.Error.Type, Message: response.Error.Message}
	}
	return response.Payload, nil
}

// FunctionError is an error that the function returned, where SCF would answer with
// one of its own.
type FunctionError struct{ Type, Message string }

func (e *FunctionError) Error() string { return fmt.Sprintf("the function failed: %s", e.Message) }

func (s Settings) request(payload []byte) (*messages.InvokeRequest, error) {
	environment, err := json.Marshal(s.Environment)
	if err != nil {
		return nil, fmt.Errorf("encode environment: %w", err)
	}
	if s.TimeLimit == 0 {
		s.TimeLimit = 30 * time.Second
	}
	if s.MemoryLimit == 0 {
		s.MemoryLimit = 128
	}
	deadline := time.Now().Add(s.TimeLimit)
	return &messages.InvokeRequest{
		Payload:            payload,
		RequestId:          requestID(),
		Deadline:           messages.InvokeRequest_Timestamp{Seconds: deadline.Unix(), Nanos: int64(deadline.Nanosecond())},
		Namespace:          "default",
		FunctionName:       "ci-callback",
		FunctionVersion:    "$LATEST",
		MemoryLimitInMb:    int32(s.MemoryLimit),
		TimeLimitInMs:      int32(s.TimeLimit.Milliseconds()),
		Environment:        string(environment),
		TencentcloudRegion: s.Region,
		TencentcloudAppID:  s.AppID,
	}, nil
}

// requestID makes an id in SCF's form.
func requestID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// Address is where the instance listens for SCF's RPC, on loopback.
func (f *Function) Address() string { return f.address }

// Pid is the process id of the instance.
func (f *Function) Pid() int { return f.cmd.Process.Pid }

// Exited is closed once the instance has ended.
func (f *Function) Exited() <-chan struct{} { return f.exited }

// Stop ends the instance as SCF does, without a word.
func (f *Function) Stop() error {
	if f.client != nil {
		f.client.Close()
	}
	err := f.cmd.Process.Kill()
	<-f.exited
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop function: %w", err)
	}
	return nil
}
