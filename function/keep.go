package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/pkg/parallel"
	"github.com/ci-callback/ci-callback/pkg/store"
)

const (
	jobsAtATime    = 8     // of one callback
	outputsAtATime = 16    // of one job
	mostTagged     = 5_000 // outputs of one callback, so that it ends within its time
)

// result is what became of one job.
type result struct {
	Kind    model.Kind    `json:"kind,omitempty"`
	ID      string        `json:"id,omitempty"`
	State   string        `json:"state,omitempty"`
	Outcome store.Outcome `json:"outcome,omitempty"` // empty: not stored
	Record  string        `json:"record,omitempty"`
	Tags    []store.Tag   `json:"tags,omitempty"`
}

// keep writes the records, which it lets go of, and tags the outputs. Its error is the
// worst of what happened; the results tell what was done all the same.
func (c *call) keep(ctx context.Context, records []*model.Record) ([]result, error) {
	results := make([]result, len(records))
	errs := parallel.ForEach(len(records), jobsAtATime, func(i int) error {
		r := records[i]
		records[i] = nil // it can be megabytes, and is of no use once it is encoded
		results[i] = result{Kind: r.Kind, ID: r.ID, State: cut(r.State, shortText)}
		return c.keepOne(ctx, r, &results[i])
	})
	return results, worst(errs)
}

// keepOne writes one record, tags its outputs, and says in res what was done. Neither
// waits for the other.
func (c *call) keepOne(ctx context.Context, r *model.Record, res *result) (err error) {
	var tagErr error
	var tagging sync.WaitGroup
	if tagged := c.toTag(r); len(tagged) > 0 {
		tagging.Go(func() {
			defer parallel.Recover(&tagErr)
			res.Tags, tagErr = c.tag(ctx, tagged, r.EndTime)
		})
	}
	func() {
		defer parallel.Recover(&err) // the other goroutine writes to res until it ends
		res.Outcome, res.Record, err = c.store.PutRecord(ctx, r)
	}()
	tagging.Wait()
	return worst([]error{err, tagErr})
}

// toTag gives the outputs that are to be tagged: those of a successful job that come
// with an MD5, if that is asked for.
func (c *call) toTag(r *model.Record) []model.Output {
	if !c.config.TagMD5 || r.State != "Success" {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(r.Outputs), func(o model.Output) bool { return o.MD5 == "" })
}

// tag tags outputs. Its error is one that a retry may help, or a bug; a tag that COS
// refuses is the operator's business, and in the log.
func (c *call) tag(ctx context.Context, outputs []model.Output, endTime string) ([]store.Tag, error) {
	ended, _ := time.Parse(time.RFC3339, endTime) // zero where the callback has none
	before := int(c.outputs.Add(int64(len(outputs)))) - len(outputs)
	tagged := outputs[:max(0, min(len(outputs), mostTagged-before))]
	tags := make([]store.Tag, len(tagged), len(tagged)+1)
	errs := parallel.ForEach(len(tagged), outputsAtATime, func(i int) error {
		o := tagged[i]
		tags[i] = store.Tag{Bucket: cut(o.Bucket, shortText), Object: cut(o.Key, longText), Outcome: store.Failed, Reason: bugReason}
		tag, err := c.store.TagOutput(ctx, o, ended)
		if !isBug(err) {
			tags[i].Outcome, tags[i].Reason = tag.Outcome, cut(tag.Reason, longText)
		}
		return err
	})
	if more := len(outputs) - len(tagged); more > 0 {
		tags = append(tags, store.Tag{Outcome: store.Skipped, Reason: fmt.Sprintf("%d more outputs: of a callback, %d are tagged", more, mostTagged)})
	}
	return tags, worst(c.logRefused(errs))
}

// logRefused logs that COS refused tags, and gives the errors without those.
func (c *call) logRefused(errs []error) []error {
	refused := func(err error) bool { return errors.Is(err, cosclient.ErrMisconfigured) }
	if i := slices.IndexFunc(errs, refused); i >= 0 {
		c.log.Error("an output was not tagged", "requestId", c.id, "error", legible(errs[i].Error(), longText))
	}
	return slices.DeleteFunc(errs, refused)
}

// worst gives the error that decides the answer: a bug, else a setting, else COS.
func worst(errs []error) error {
	var found error
	rank := 0
	for _, err := range errs {
		r := 3
		switch {
		case err == nil:
			continue
		case errors.Is(err, cosclient.ErrUnavailable):
			r = 1
		case errors.Is(err, cosclient.ErrMisconfigured):
			r = 2
		}
		if r > rank {
			found, rank = err, r
		}
	}
	return found
}
