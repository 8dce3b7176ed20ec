package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ci-callback/ci-callback/pkg/cilocal"
	"github.com/ci-callback/ci-callback/pkg/config"
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

// The temporary keys that the function signs with, as those of an execution role.
const (
	roleSecretID  = "local-role-secret-id"
	roleSecretKey = "local-role-secret-key"
	roleToken     = "local-role-session-token"
)

// platform is what the cloud would be: COS, CI, and an instance of the function.
type platform struct {
	project  string
	folder   string // of what is made: the binary, the objects, the log
	cos      *coslocal.Server
	ci       *cilocal.Server
	settings scflocal.Settings
	function *scflocal.Function
	stop     []func()

	invoking    sync.Mutex   // an instance gets one event at a time
	cosRequests atomic.Int64 // of the function
	ciRequests  atomic.Int64
}

// open opens the COS of a command, which locks the command's folder before anything else
// in there is touched, and a CI whose jobs go by a plan. Each command has a folder of its
// own, so that it leaves those of the others alone.
func (p *program) open(command string, settings map[string]string, plan func(cilocal.Job) cilocal.Plan) (*platform, error) {
	pl := &platform{project: p.project, folder: filepath.Join(p.folder, command)}
	keys := []coslocal.Credential{
		coslocal.DefaultCredential(),
		{SecretID: roleSecretID, SecretKey: roleSecretKey, SessionToken: roleToken},
	}
	var err error
	pl.cos, err = coslocal.New(coslocal.Options{Dir: filepath.Join(pl.folder, "cos"), Credentials: keys})
	switch {
	case errors.Is(err, coslocal.ErrLocked):
		return nil, fmt.Errorf("another one is running in %s: end it, or wait until it has ended", pl.folder)
	case err != nil:
		return nil, fmt.Errorf("start the local COS: %w", err)
	}
	pl.stop = append(pl.stop, func() { pl.cos.Close() })
	pl.ci = cilocal.New(cilocal.Options{COS: pl.cos, Credentials: keys, Plan: plan})
	pl.stop = append(pl.stop, func() { pl.ci.Close() })
	pl.cos.Inject(coslocal.Fault{Match: countRole(&pl.cosRequests)})
	pl.ci.Inject(coslocal.Fault{Match: countRole(&pl.ciRequests)})
	pl.settings = scflocal.Settings{Region: settings["RECORD_REGION"], AppID: appID, Environment: settings}
	if err := pl.createBuckets(); err != nil {
		pl.Close()
		return nil, err
	}
	return pl, nil
}

// countRole returns a Match that counts the requests of the function, and matches none.
func countRole(count *atomic.Int64) func(coslocal.Request) bool {
	return func(r coslocal.Request) bool {
		if strings.Contains(r.Header.Get("Authorization"), "q-ak="+roleSecretID+"&") {
			count.Add(1)
		}
		return false
	}
}

// createBuckets makes the buckets that the settings name. Those of media are in every
// region, as sample callbacks name some that are elsewhere.
func (pl *platform) createBuckets() error {
	if err := pl.cos.CreateBucket(pl.setting("RECORD_BUCKET"), pl.setting("RECORD_REGION")); err != nil {
		return fmt.Errorf("make the record bucket: %w", err)
	}
	for _, variable := range []string{"TAG_BUCKETS", "RECONCILE_BUCKETS"} {
		for _, bucket := range listed(pl.setting(variable)) {
			if err := pl.createMediaBucket(bucket); err != nil {
				return fmt.Errorf("make the buckets of %s: %w", variable, err)
			}
		}
	}
	return nil
}

// createMediaBucket makes a bucket whose jobs CI knows. It can be that of the records.
func (pl *platform) createMediaBucket(bucket string) error {
	if bucket != pl.setting("RECORD_BUCKET") {
		if err := pl.cos.CreateBucket(bucket, ""); err != nil {
			return err
		}
	}
	return pl.ci.CreateBucket(bucket, "")
}

// listed returns the buckets of a setting, without their regions.
func listed(setting string) []string {
	var buckets []string
	for entry := range strings.SplitSeq(setting, ",") {
		bucket, _, _ := strings.Cut(strings.TrimSpace(entry), "@")
		if bucket != "" {
			buckets = append(buckets, bucket)
		}
	}
	return buckets
}

// setting returns a setting of the function.
func (pl *platform) setting(variable string) string { return pl.settings.Environment[variable] }

// media returns the bucket and the region that jobs are submitted for: the first that is
// compared with the records.
func (pl *platform) media() (bucket, in string) {
	first, _, _ := strings.Cut(pl.setting("RECONCILE_BUCKETS"), ",")
	bucket, in, _ = strings.Cut(strings.TrimSpace(first), "@")
	return cmp.Or(bucket, mediaBucket), cmp.Or(in, pl.settings.Region)
}

// defaultSettings returns the function's settings where nobody chooses others. Outputs in
// any of the buckets are tagged.
func defaultSettings(buckets ...string) map[string]string {
	return map[string]string{
		"RECORD_BUCKET": recordBucket, "RECORD_REGION": region, "RECORD_PREFIX": "ci/", "CALLBACK_TOKEN": token,
		"TAG_MD5": "true", "MD5_TAG_KEY": "md5", "TAG_BUCKETS": strings.Join(buckets, ","), "RECONCILE_BUCKETS": mediaBucket,
	}
}

// shellSettings returns the settings among the variables of the shell. Endpoints are left
// out, and so are keys, which are no settings: they are those of a real account.
func shellSettings(environment []string) map[string]string {
	settings := map[string]string{}
	for _, pair := range environment {
		name, value, _ := strings.Cut(pair, "=")
		for _, v := range config.Variables() {
			if v.Name == name && value != "" && name != "COS_ENDPOINT" && name != "CI_ENDPOINT" {
				settings[name] = value
			}
		}
	}
	return settings
}

// start listens for COS and CI, builds the function and starts it.
func (pl *platform) start(ctx context.Context, p *program, at addresses) error {
	environment := pl.settings.Environment
	var err error
	if environment["COS_ENDPOINT"], err = pl.listen("COS", "-cos", at.cos, pl.cos); err != nil {
		return err
	}
	if environment["CI_ENDPOINT"], err = pl.listen("CI", "-ci", at.ci, pl.ci); err != nil {
		return err
	}
	environment["TENCENTCLOUD_SECRETID"] = roleSecretID
	environment["TENCENTCLOUD_SECRETKEY"] = roleSecretKey
	environment["TENCENTCLOUD_SESSIONTOKEN"] = roleToken
	binary, err := filepath.Abs(filepath.Join(pl.folder, "function"))
	if err != nil {
		return err
	}
	if err := p.build(ctx, p.project, binary); err != nil {
		return err
	}
	log, err := os.Create(pl.log())
	if err != nil {
		return fmt.Errorf("open the function's log: %w", err)
	}
	pl.stop = append(pl.stop, func() { log.Close() })
	if pl.function, err = scflocal.Start(ctx, binary, nil, log); err != nil {
		return fmt.Errorf("%w; see %s", err, pl.log())
	}
	pl.stop = append(pl.stop, func() { pl.function.Stop() })
	return nil
}

// invoke hands an event to the function.
func (pl *platform) invoke(ctx context.Context, event []byte) ([]byte, error) {
	pl.invoking.Lock()
	defer pl.invoking.Unlock()
	return pl.function.Invoke(ctx, pl.settings, event)
}

// Close ends what open and start started, the last first.
func (pl *platform) Close() {
	for i := len(pl.stop) - 1; i >= 0; i-- {
		pl.stop[i]()
	}
	pl.stop = nil
}

// buildFunction compiles the function of a project.
func buildFunction(ctx context.Context, project, binary string) error {
	if _, err := exec.LookPath("go"); err != nil {
		return errors.New("the Go toolchain is not on PATH: install it, https://go.dev/doc/install")
	}
	command := exec.CommandContext(ctx, "go", "build", "-o", binary, "./function")
	command.Dir = project
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("build the function: %w\n%s", err, output)
	}
	return nil
}

// listen lets COS or CI answer at an address, and returns the endpoint for its clients.
func (pl *platform) listen(service, flag, address string, handler http.Handler) (endpoint string, err error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return "", addressInUse(service, flag, err)
	}
	server := &http.Server{Handler: handler}
	go server.Serve(listener)
	pl.stop = append(pl.stop, func() {
		closing, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		server.Shutdown(closing) // waits for what is being written, before the folder is let go
		server.Close()
	})
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return "http://{bucket}." + strings.ToLower(service) + ".{region}.localhost:" + port, nil
}

// addressInUse returns an error that says what to do about an address that cannot be
// listened on.
func addressInUse(what, flag string, err error) error {
	return fmt.Errorf("cannot listen for %s: %w; name another address with %s, such as %s 127.0.0.1:0", what, err, flag, flag)
}

// objects returns where a person finds the objects.
func (pl *platform) objects() string { return filepath.Join(pl.folder, "cos") + "/" }

// log returns where the function's output goes.
func (pl *platform) log() string { return filepath.Join(pl.folder, "function.log") }
