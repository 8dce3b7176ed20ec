package board

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/scripts/records/catalog"
)

// actTimeout is how long something that is done at once may take.
const actTimeout = time.Minute

// A confirmPage says what a button will do, and has the button.
type confirmPage struct {
	Heading string
	Lines   []string // what will be done
	Useful  bool     // there is a point in doing it
	Button  string
	Back    string
	Remove  bool   // offers to take the body away
	Since   string // offers how far to look back
}

var errReadOnly = &pageError{http.StatusForbidden, "This board only shows",
	"It was started without --write. What this page would do, the command line does: see the runbook."}

// confirm returns the page before a button that writes.
func (b *Board) confirm(title, active, commandLine string, p confirmPage) *page {
	return &page{Template: "confirm", Title: title, Active: active, Command: commandLine, Data: p}
}

func (b *Board) confirmReplay(r *request) (*page, error) {
	if !b.writable() {
		return nil, errReadOnly
	}
	o, err := b.getRejected(r)
	if err != nil {
		return nil, err
	}
	lines, useful, err := b.Mender.PlanReplay(r.Context(), o.Key)
	if err != nil {
		return nil, err
	}
	hash := r.PathValue("hash")
	return b.confirm("Receive a body again", "/rejected", command("replay "+hash), confirmPage{
		Heading: "Receive body " + catalog.ShortHash(o.Key) + " again?", Lines: lines, Useful: useful,
		Button: "Receive it again", Back: "/rejected/" + hash, Remove: true,
	}), nil
}

// replay receives a body again. Its name is the hash of its bytes, so that what is
// received is what the page showed.
func (b *Board) replay(r *request) (string, error) {
	if !b.writable() {
		return "", errReadOnly
	}
	ctx, cancel := context.WithTimeout(r.Context(), actTimeout)
	defer cancel()
	o, err := b.getRejected(r)
	if err != nil {
		return "", err
	}
	lines, err := b.Mender.Replay(ctx, o.Key, r.PostForm.Get("remove") == "yes")
	return r.link("/rejected", "done", b.tasks.ended("Body "+catalog.ShortHash(o.Key)+" received again", lines, err)), nil
}

func (b *Board) confirmRetag(kind model.Kind) func(*request) (*page, error) {
	return func(r *request) (*page, error) {
		record, err := b.recordToTag(r, kind)
		if err != nil {
			return nil, err
		}
		lines, useful, err := b.Mender.PlanRetag(r.Context(), record)
		if err != nil {
			return nil, err
		}
		return b.confirm("Tag outputs", "/records", recordCommand("retag", kind, r.PathValue("name")), confirmPage{
			Heading: "Tag the outputs of " + record.ID + "?", Lines: lines, Useful: useful, Button: "Tag them",
			Back: "/" + kind.Folder() + "/" + r.PathValue("name"),
		}), nil
	}
}

func (b *Board) retag(kind model.Kind) func(*request) (string, error) {
	return func(r *request) (string, error) {
		ctx, cancel := context.WithTimeout(r.Context(), actTimeout)
		defer cancel()
		record, err := b.recordToTag(r, kind)
		if err != nil {
			return "", err
		}
		lines, err := b.Mender.Retag(ctx, record)
		done := b.tasks.ended("Outputs tagged", lines, err)
		return r.link("/"+kind.Folder()+"/"+r.PathValue("name"), "done", done), nil
	}
}

// recordToTag reads the record that a URL names, for a board that may write.
func (b *Board) recordToTag(r *request, kind model.Kind) (*model.Record, error) {
	if !b.writable() {
		return nil, errReadOnly
	}
	name := r.PathValue("name")
	if !validName(name) {
		return nil, notFound("That is no id of a record.")
	}
	found, err := b.Catalog.Open(r.Context(), kind, name)
	switch {
	case errors.Is(err, catalog.ErrNotFound):
		return nil, notFound("There is no such record.")
	case err != nil:
		return nil, err
	case found.Record == nil:
		return nil, notFound("What is stored there cannot be read as a record.")
	}
	return found.Record, nil
}

const (
	reconcileTitle = "Reconciliation"
	maxLookBack    = 90 * 24 * time.Hour // of a comparison
)

func (b *Board) confirmReconcile(r *request) (*page, error) {
	if !b.writable() {
		return nil, errReadOnly
	}
	lines, useful, err := b.Mender.PlanReconcile()
	if err != nil {
		return nil, err
	}
	return b.confirm("Reconcile now", "/reconciliation", command("reconcile"), confirmPage{
		Heading: "Compare CI's jobs with the records now?", Lines: lines, Useful: useful, Button: "Compare and mend",
		Back: "/reconciliation", Since: "72h",
	}), nil
}

// reconcile starts a comparison in the background, or leads to the one that runs.
func (b *Board) reconcile(r *request) (string, error) {
	if !b.writable() || b.tasks.background == nil {
		return "", errReadOnly
	}
	name := cmp.Or(r.PostForm.Get("since"), "72h")
	from, err := catalog.ParseMoment(name, r.now)
	since := r.now.Sub(from)
	if err != nil || since <= 0 || since > maxLookBack {
		return "", badQuery(fmt.Errorf("since=%.20q: write how far back to look, such as 72h, 7d or 2026-11-27, at most 90d: "+
			"CI keeps jobs for about a month", name))
	}
	id, started := b.tasks.start(task{Title: reconcileTitle, Back: "/reconciliation"})
	if !started {
		return r.link("/tasks/" + id), nil
	}
	b.tasks.background(func(ctx context.Context) {
		lines, err := b.Mender.Reconcile(ctx, since, func(progress string) {
			b.tasks.change(id, func(t *task) { t.Progress = progress })
		})
		b.tasks.change(id, func(t *task) {
			if t.Running, t.Lines = false, lines; err != nil {
				t.Problem = err.Error()
			}
		})
		b.live.refreshSoon()
	})
	return r.link("/tasks/" + id), nil
}

// taskPage shows something that runs in the background, or what came of it.
func (b *Board) taskPage(r *request) (*page, error) {
	t := b.tasks.look(r.PathValue("id"))
	if t == nil {
		return nil, notFound("This board knows of no such task: what was started before it was started again is forgotten.")
	}
	p := &page{Template: "task", Title: t.Title, Active: t.Back, Data: t}
	if t.Running {
		p.Live = 1
	}
	return p, nil
}

var errNoSubmit = notFound("This board submits no jobs: the one of scripts/local does.")

func (b *Board) submitForm(*request) (*page, error) {
	if b.Submit == nil {
		return nil, errNoSubmit
	}
	return &page{Template: "submit", Title: "Submit a job", Active: "/submit", Data: b.Submit}, nil
}

// submit submits a job, and leads to the page where it can be watched.
func (b *Board) submit(r *request) (string, error) {
	if b.Submit == nil {
		return "", errNoSubmit
	}
	form := r.PostForm
	duration, err := time.ParseDuration(cmp.Or(form.Get("duration"), "3s"))
	if err != nil || duration < 0 || duration > time.Hour {
		return "", badQuery(fmt.Errorf("duration=%.20q: write a time of at most an hour, such as 3s", form.Get("duration")))
	}
	ctx, cancel := context.WithTimeout(r.Context(), actTimeout)
	defer cancel()
	id, err := b.Submit.Submit(ctx, Submission{
		Type: form.Get("type"), Input: form.Get("input"), Output: form.Get("output"), Fail: form.Get("end") == "fail",
		Duration: duration, Format: form.Get("format"), Callback: form.Get("callback"),
	})
	if err != nil {
		return "", &pageError{http.StatusBadGateway, "The job was not submitted", err.Error()}
	}
	return r.link("/jobs/" + id), nil
}
