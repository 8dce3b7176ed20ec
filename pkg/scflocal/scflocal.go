// Package scflocal runs a Go1 function on this machine as SCF runs it. The function is
// its own process, the built binary, which learns its port from _LAMBDA_SERVER_PORT and
// is invoked over scf-go-lib's RPC, with an environment and a deadline for each
// invocation. [Gateway] stands before it and makes trigger events of HTTP requests, as a
// function URL does; [TimerEvent] makes those of a timer.
//
// It is for development and tests: it limits no memory and isolates nothing.
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

// startTimeout is how long an instance may take to listen. SCF's default is 60 seconds.
const startTimeout = 20 * time.Second

// Start starts the binary and waits until it answers, or ctx ends. The environment of the
// process is env (NAME=value) and what SCF sets, and nothing else. What the process
// prints goes to output.
//
// The instance runs until Stop, which the caller must call. Neither the end of ctx nor a
// signal to this process ends it, so that an invocation can still be waited for.
func Start(ctx context.Context, binary string, env []string, output io.Writer) (*Function, error) {
	port, release, err := reservePort()
	if err != nil {
		return nil, err
	}
	defer release()
	cmd := exec.Command(binary)
	cmd.SysProcAttr = ownProcessGroup()
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

// reservePort returns a TCP port that nobody listens on. It must be released once the
// instance listens there. Until then a second Start, in this process or another, cannot
// choose it: that instance could not listen, and its caller would talk to the first.
func reservePort() (port int, release func(), err error) {
	const first, last = 20_000, 32_000 // the system gives none of these to connections
	for range 100 {
		port := first + mathrand.IntN(last-first)
		// The UDP port of the same number is the reservation: no function uses it.
		reservation, err := net.ListenPacket("udp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		if l, err := net.Listen("tcp", ":"+strconv.Itoa(port)); err == nil {
			return port, func() { reservation.Close() }, l.Close()
		}
		reservation.Close()
	}
	return 0, nil, fmt.Errorf("find a free port: of a hundred tried between %d and %d, none is free", first, last)
}

// connect waits until the instance listens.
func (f *Function) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
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

// Invoke sends one trigger event and returns what the function returns. An error of the
// function itself is a [*FunctionError].
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

// FunctionError is an error that the function returned. To a request, SCF would answer
// with an error of its own then.
type FunctionError struct{ Type, Message string }

// Error implements the error interface.
func (e *FunctionError) Error() string { return fmt.Sprintf("the function failed: %s", e.Message) }

// request returns the RPC request for an invocation that begins now.
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

// requestID returns an id of SCF's form.
func requestID() string {
	var b [16]byte
	rand.Read(b[:]) // it never fails
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// Address returns where the instance listens for SCF's RPC, on loopback.
func (f *Function) Address() string { return f.address }

// Pid returns the process id of the instance.
func (f *Function) Pid() int { return f.cmd.Process.Pid }

// Exited returns a channel that is closed once the instance has ended.
func (f *Function) Exited() <-chan struct{} { return f.exited }

// Stop kills the instance, as SCF does. To stop one that has ended is no error.
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
