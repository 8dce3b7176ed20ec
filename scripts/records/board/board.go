package board

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/scripts/records/catalog"
)

// Options say what a board shows, and what it may do.
type Options struct {
	Catalog *catalog.Catalog
	Bucket  string // of the records
	Region  string

	// Look returns an output as it is now; nil where outputs are not to be looked at.
	Look func(ctx context.Context, o model.Output) OutputNow
	// MD5TagKey is the key of the tag that holds an output's MD5.
	MD5TagKey string
	// AskCI returns what CI says of a job that has no record yet; nil where CI is not asked.
	// Its error wraps catalog.ErrNotFound where CI knows no such job.
	AskCI func(ctx context.Context, id string) (*model.Record, error)

	Mender Mender      // what the buttons do; nil for a board that only shows
	Submit *SubmitForm // a form that submits a job; nil for none

	Refresh  time.Duration  // between two listings, at least; 0 for half a minute
	Zone     *time.Location // of times where the URL names none; nil for this machine's
	ZoneName string         // how the pages call it; empty for "this machine"
	Clock    func() time.Time
	Log      *slog.Logger // of what went wrong; nil for nowhere
}

// OutputNow is an output as it is in its bucket now.
type OutputNow struct {
	Size         int64
	LastModified time.Time
	Tags         []Tag
	Problem      string // why it could not be looked at; empty if it was
}

// A Tag is one tag of an object.
type Tag struct{ Key, Value string }

// A Mender does what the buttons of a board stand for. Each call says, line by line, what
// was done; the lines are there in part where the error is not nil.
type Mender interface {
	// PlanReplay says what receiving a rejected body again would do, and whether there is a
	// point in it.
	PlanReplay(ctx context.Context, key string) (lines []string, useful bool, err error)
	// Replay receives a rejected body again, and takes it away if it was received whole and
	// remove is set.
	Replay(ctx context.Context, key string, remove bool) (lines []string, err error)
	// PlanRetag says which outputs of a record would be tagged.
	PlanRetag(ctx context.Context, record *model.Record) (lines []string, useful bool, err error)
	// Retag tags the outputs of a record with their MD5.
	Retag(ctx context.Context, record *model.Record) (lines []string, err error)
	// Reconcile compares CI's jobs with the records, from so long ago. progress is told
	// where it is.
	Reconcile(ctx context.Context, since time.Duration, progress func(string)) (lines []string, err error)
	// PlanReconcile says which buckets, types and workflows would be compared.
	PlanReconcile() (lines []string, useful bool, err error)
}

// A SubmitForm is a form that submits a job.
type SubmitForm struct {
	Types  []string // of jobs, the first of them chosen
	Inputs []string // objects to choose from: bucket-less keys; empty lets any be typed
	Submit func(ctx context.Context, s Submission) (id string, err error)
}

// A Submission is what was entered in a SubmitForm.
type Submission struct {
	Type     string
	Input    string // key of the input
	Output   string // key of the output; empty for one that fits
	Fail     bool   // the job is to fail
	Duration time.Duration
	Format   string // of the callback: XML or JSON
	Callback string // once, twice, late or lost
}

// A Board is the pages and what is known of the records. Make it with New.
type Board struct {
	Options
	token  string // of this process; what POSTs must have it
	pages  pages
	assets assets
	live   live
	tasks  tasks
}

// New returns a board. It reads nothing yet: Serve does.
func New(o Options) (*Board, error) {
	if o.Refresh == 0 {
		o.Refresh = 30 * time.Second
	}
	if o.Zone == nil {
		o.Zone = time.Local
	}
	if o.ZoneName == "" {
		o.ZoneName = "this machine"
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	b := &Board{Options: o, token: rand.Text()}
	b.assets = loadAssets()
	var err error
	if b.pages, err = loadPages(b.assets); err != nil {
		return nil, fmt.Errorf("load the board's pages: %w", err)
	}
	b.live.init(b)
	b.tasks.done = map[string]*task{}
	return b, nil
}

// Serve answers requests on a listener, which must be on loopback, and reads records in
// the background, until ctx ends.
func (b *Board) Serve(ctx context.Context, listener net.Listener) error {
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok || !address.IP.IsLoopback() {
		return fmt.Errorf("the board listens on loopback only, and %s is not: name an address such as 127.0.0.1:9090", listener.Addr())
	}
	ctx, stop := context.WithCancel(ctx)
	var background sync.WaitGroup
	defer background.Wait()
	defer stop()
	background.Go(func() { b.live.run(ctx) })
	b.tasks.background = func(do func(context.Context)) { background.Go(func() { do(ctx) }) }

	server := &http.Server{
		Handler:           b.Handler(address.Port),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(b.Log.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case <-ctx.Done():
	case err := <-failed:
		return fmt.Errorf("serve the board: %w", err)
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := server.Shutdown(closing); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("end the board: %w", err)
	}
	return server.Close()
}

// Handler returns the board's pages, for requests to loopback at a port. Serve uses it;
// by itself it reads nothing in the background.
func (b *Board) Handler(port int) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", b.page(b.listed(b.overview)))
	mux.HandleFunc("GET /records", b.page(b.listed(b.records)))
	mux.HandleFunc("GET /records.json", b.recordsJSON)
	mux.HandleFunc("GET /records.csv", b.recordsCSV)
	for _, kind := range model.Kinds() {
		folder := "/" + kind.Folder()
		mux.HandleFunc("GET "+folder+"/{name}", b.record(kind))
		mux.HandleFunc("GET /history"+folder+"/{name}/{file}", b.historyFile(kind))
		mux.HandleFunc("GET "+folder+"/{name}/retag", b.page(b.confirmRetag(kind)))
		mux.HandleFunc("POST "+folder+"/{name}/retag", b.act(b.retag(kind)))
	}
	mux.HandleFunc("GET /find", b.find)
	mux.HandleFunc("GET /failures", b.page(b.listed(b.failures)))
	mux.HandleFunc("GET /rejected", b.page(b.listed(b.rejected)))
	mux.HandleFunc("GET /rejected/{hash}", b.page(b.rejectedBody))
	mux.HandleFunc("GET /rejected/{hash}/body", b.rejectedFile)
	mux.HandleFunc("GET /rejected/{hash}/replay", b.page(b.confirmReplay))
	mux.HandleFunc("POST /rejected/{hash}/replay", b.act(b.replay))
	mux.HandleFunc("GET /reconciliation", b.page(b.listed(b.reconciliation)))
	mux.HandleFunc("GET /reconciliation/run", b.page(b.confirmReconcile))
	mux.HandleFunc("POST /reconciliation/run", b.act(b.reconcile))
	mux.HandleFunc("GET /tasks/{id}", b.page(b.taskPage))
	mux.HandleFunc("GET /submit", b.page(b.submitForm))
	mux.HandleFunc("POST /submit", b.act(b.submit))
	mux.HandleFunc("GET /static/{file}", b.assets.serve)
	mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, b.assets.path("icon.svg"), http.StatusFound)
	})
	mux.HandleFunc("GET /", b.page(func(*request) (*page, error) { return nil, notFound("There is no such page.") }))
	return b.guard(port, mux)
}

// writable reports whether the board has its buttons.
func (b *Board) writable() bool { return b.Mender != nil }
