package mend

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/ci-callback/ci-callback/pkg/ci"
	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/pkg/receive"
	"github.com/ci-callback/ci-callback/pkg/reconcile"
	"github.com/ci-callback/ci-callback/pkg/store"
)

// MaxTries is how often a request to COS is tried where somebody waits for it: no deadline
// ends it, as one does in the function. Where COS does not answer, that takes some seconds.
const MaxTries = 5

// Options say what is mended, and with what.
type Options struct {
	// Store is the record bucket, opened with [reconcile.MaxCOSRequests] slots, and
	// StoreOptions what it was opened with.
	Store        *store.Store
	StoreOptions store.Options
	CI           *ci.Client // nil where CI is not asked
	TagMD5       bool       // records that are stored have their outputs tagged

	Buckets   []reconcile.Bucket // whose jobs are compared with the records
	Types     []string           // of those jobs; nil for all that can be listed
	Workflows []reconcile.Workflow
}

// A Mender mends the records of one bucket. It is safe for concurrent use.
type Mender struct{ options Options }

// New returns a Mender.
func New(o Options) *Mender { return &Mender{o} }

// errNoCI says that the Mender was made without a client of CI.
var errNoCI = errors.New("there is no way to ask Cloud Infinite: no client was set up")

// ErrNoBuckets says that no bucket is named whose jobs are to be compared.
var ErrNoBuckets = errors.New("RECONCILE_BUCKETS names no media bucket: set it to <bucket> or <bucket>@<region>")

func (m *Mender) receiver() *receive.Receiver {
	return &receive.Receiver{Store: m.options.Store, TagMD5: m.options.TagMD5}
}

// Buckets returns the buckets whose jobs Reconcile compares.
func (m *Mender) Buckets() []reconcile.Bucket { return m.options.Buckets }

// Types returns the job types that Reconcile compares.
func (m *Mender) Types() []string {
	if len(m.options.Types) == 0 {
		return ci.Tags()
	}
	return m.options.Types
}

// Workflows returns the workflows whose runs Reconcile compares.
func (m *Mender) Workflows() []reconcile.Workflow { return m.options.Workflows }

// TagsMD5 reports whether the outputs of records that are stored are tagged.
func (m *Mender) TagsMD5() bool { return m.options.TagMD5 }

// Reconciled is what Reconcile did.
type Reconciled struct {
	reconcile.Result
	// Warnings say what could not be compared, recorded or tagged, and why: up to 100
	// sentences, and one that counts the others. No later run asks for these jobs again.
	Warnings []string
}

// NotShown returns how many jobs are not among the findings, of which a bucket has up to
// 100, though they were mended or are unknown to CI.
func (r Reconciled) NotShown() int {
	n := r.Repaired + r.Replaced + r.Unknown
	for _, f := range r.Findings {
		if f.Outcome != reconcile.Rejected {
			n--
		}
	}
	return n
}

// Reconcile compares the jobs that CI lists, created within the last since, with the
// records, and mends those that are missing or wrong. A dry run only says what it would
// do. The state of the function's own comparisons is neither read nor written.
func (m *Mender) Reconcile(ctx context.Context, since time.Duration, dryRun bool, progress func(reconcile.Progress)) (Reconciled, error) {
	if m.options.CI == nil {
		return Reconciled{}, errNoCI
	}
	if len(m.options.Buckets) == 0 {
		return Reconciled{}, ErrNoBuckets
	}
	var warned warnings
	result, err := reconcile.Run(ctx, reconcile.Options{
		Buckets: m.options.Buckets, Types: m.Types(), Workflows: m.options.Workflows, Since: since,
		CI: m.options.CI, Store: m.options.Store, Receiver: m.receiver(),
		Stateless: true, DryRun: dryRun, Progress: progress, Log: slog.New(&warned),
	})
	return Reconciled{result, warned.all()}, err
}

// A PlannedTag is an output, and why it is not to be tagged.
type PlannedTag struct {
	Bucket, Object, MD5 string
	Reason              string // empty where it is to be tagged
}

// PlanRetag says which outputs of a record Retag would tag.
func (m *Mender) PlanRetag(record *model.Record) []PlannedTag {
	plan := make([]PlannedTag, len(record.Outputs))
	for i, o := range record.Outputs {
		plan[i] = PlannedTag{Bucket: o.Bucket, Object: o.Key, MD5: o.MD5, Reason: m.whyNot(record, o)}
	}
	return plan
}

func (m *Mender) whyNot(record *model.Record, o model.Output) string {
	switch err := m.options.StoreOptions.CheckTagBucket(o.Bucket); {
	case record.State != "Success":
		return "the job did not succeed"
	case o.MD5 == "":
		return "the record has no MD5 of it"
	case err != nil:
		return err.Error()
	}
	return ""
}

// IsUseful reports whether anything of a plan is to be done.
func IsUseful(plan []PlannedTag) bool {
	return slices.ContainsFunc(plan, func(t PlannedTag) bool { return t.Reason == "" })
}

// Retag tags the outputs of a record with their MD5, whether TAG_MD5 is on or not, in
// the buckets alone that TAG_BUCKETS allows.
func (m *Mender) Retag(ctx context.Context, record *model.Record) ([]store.TagResult, error) {
	r := &receive.Receiver{Store: m.options.Store, TagMD5: true}
	tags, refused, err := r.Tag(ctx, record)
	return tags, errors.Join(refused, err)
}
