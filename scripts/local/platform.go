package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/ci-callback/ci-callback/pkg/coslocal"
	"github.com/ci-callback/ci-callback/pkg/scflocal"
)

// What the sample callbacks are about: the bodies of CI's page "Callback Information".
const (
	appID        = "123456789"
	region       = "ap-chongqing"
	mediaBucket  = "test-" + appID
	recordBucket = "records-" + appID
	token        = "a-token-for-this-machine-only"
)

// platform is what the cloud would be: COS, and a function's instance.
type platform struct {
	folder   string // of what is made: the binary, the objects, the log
	cos      *coslocal.Server
	settings scflocal.Settings
	function *scflocal.Function
	stop     []func()
}

// open opens the COS of a command, and with it locks the command's folder, before
// anything else in there is touched. A command has a folder of its own, so that it leaves
// another's alone.
func open(command string) (*platform, error) {
	p := &platform{folder: folderOf(command)}
	var err error
	p.cos, err = coslocal.New(coslocal.Options{Dir: filepath.Join(p.folder, "cos")})
	switch {
	case errors.Is(err, coslocal.ErrLocked):
		return nil, fmt.Errorf("another one is running in %s: end it, or wait until it has ended", p.folder)
	case err != nil:
		return nil, fmt.Errorf("start the local COS: %w", err)
	}
	p.stop = append(p.stop, func() { p.cos.Close() })
	for _, bucket := range []string{recordBucket, mediaBucket} {
		if err := p.cos.CreateBucket(bucket, region); err != nil {
			p.Close()
			return nil, fmt.Errorf("make bucket %s: %w", bucket, err)
		}
	}
	return p, nil
}

// start listens for requests to COS at an address, builds the function and starts it.
func (p *platform) start(ctx context.Context, cosAddress string) error {
	endpoint, err := p.listenCOS(cosAddress)
	if err != nil {
		return err
	}
	binary, err := build(ctx, p.folder)
	if err != nil {
		return err
	}
	credential := coslocal.DefaultCredential()
	p.settings = scflocal.Settings{
		Region: region, AppID: appID,
		Environment: map[string]string{
			"RECORD_BUCKET": recordBucket, "CALLBACK_TOKEN": token, "TAG_MD5": "true", "COS_ENDPOINT": endpoint,
			"TENCENTCLOUD_SECRETID": credential.SecretID, "TENCENTCLOUD_SECRETKEY": credential.SecretKey,
			"TENCENTCLOUD_SESSIONTOKEN": credential.SessionToken,
		},
	}
	log, err := os.Create(p.log())
	if err != nil {
		return fmt.Errorf("open the function's log: %w", err)
	}
	p.stop = append(p.stop, func() { log.Close() })
	if p.function, err = scflocal.Start(ctx, binary, nil, log); err != nil {
		return fmt.Errorf("%w; see %s", err, p.log())
	}
	p.stop = append(p.stop, func() { p.function.Stop() })
	return nil
}

// Close ends what open and start started, the last first.
func (p *platform) Close() {
	for i := len(p.stop) - 1; i >= 0; i-- {
		p.stop[i]()
	}
}

// checkFolder says what to do where the working directory is not the project's.
func checkFolder() error {
	if _, err := os.Stat("function/main.go"); err != nil {
		return errors.New("this is not the project's folder: change to where function/ and go.mod are")
	}
	return nil
}

// build compiles the function and gives the path of the binary.
func build(ctx context.Context, folder string) (string, error) {
	if _, err := exec.LookPath("go"); err != nil {
		return "", errors.New("the Go toolchain is not on PATH: install it, https://go.dev/doc/install")
	}
	binary, err := filepath.Abs(filepath.Join(folder, "function"))
	if err != nil {
		return "", err
	}
	output, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "./function").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the function: %w\n%s", err, output)
	}
	return binary, nil
}

// listenCOS lets COS answer at an address and gives its endpoint.
func (p *platform) listenCOS(address string) (string, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return "", taken("COS", "-cos", err)
	}
	server := &http.Server{Handler: p.cos}
	go server.Serve(listener)
	p.stop = append(p.stop, func() {
		closing, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		server.Shutdown(closing) // what is being written, before the folder is let go
		server.Close()
	})
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return "http://{bucket}.cos.{region}.localhost:" + port, nil
}

// taken says what to do about an address that cannot be listened on.
func taken(what, flag string, err error) error {
	return fmt.Errorf("cannot listen for %s: %w; name another address with %s, such as %s 127.0.0.1:0", what, err, flag, flag)
}

// folderOf gives the folder of a command, below one that git ignores.
func folderOf(command string) string { return filepath.Join(".local", command) }

// objects is where a person finds the objects.
func (p *platform) objects() string { return filepath.Join(p.folder, "cos") + "/" }

// log is where the function's output goes.
func (p *platform) log() string { return filepath.Join(p.folder, "function.log") }
