package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/pkg/store"
)

// sideBySide is how many jobs of one callback, and how many outputs of one job, are
// worked on at a time.
const sideBySide = 8

// result is what became of one job.
type result struct {
	Kind    model.Kind    `json:"kind,omitempty"`
	ID      string        `json:"id,omitempty"`
	State   string        `json:"state,omitempty"`
	Outcome store.Outcome `json:"outcome,omitempty"` // empty: not stored
	Record  string        `json:"record,omitempty"`
	Tags    []store.Tag   `json:"tags,omitempty"`
}

// keep writes the records and tags the outputs. Its error is the worst of what
// happened; the results tell what was done all the same.
func (c *call) keep(ctx context.Context, records []*model.Record) ([]result, error) {
	results := make([]result, len(records))
	errs := make([]error, len(records))
	var jobs errgroup.Group
	jobs.SetLimit(sideBySide)
	for i, r := range records {
		jobs.Go(func() error {
			defer store.Recover(&errs[i])
			results[i], errs[i] = c.keepOne(ctx, r)
			return nil
		})
	}
	jobs.Wait()
	return results, worst(errs)
}

// keepOne writes one record and tags its outputs. Neither waits for the other.
func (c *call) keepOne(ctx context.Context, r *model.Record) (result, error) {
	res := result{Kind: r.Kind, ID: r.ID, State: cut(r.State, shortText)}
	var tagErr, err error
	var tagging sync.WaitGroup
	if tagged := c.toTag(r); len(tagged) > 0 {
		tagging.Go(func() {
			defer store.Recover(&tagErr)
			res.Tags, tagErr = c.tag(ctx, tagged, r.EndTime)
		})
	}
	res.Outcome, res.Record, err = c.store.PutRecord(ctx, r)
	tagging.Wait()
	return res, worst([]error{err, tagErr})
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
	tags := make([]store.Tag, len(outputs))
	errs := make([]error, len(outputs))
	var tagging errgroup.Group
	tagging.SetLimit(sideBySide)
	for i, o := range outputs {
		tagging.Go(func() error {
			defer store.Recover(&errs[i])
			tags[i], errs[i] = c.store.TagOutput(ctx, o, ended)
			tags[i].Bucket, tags[i].Object = cut(o.Bucket, shortText), cut(o.Key, longText)
			if errors.Is(errs[i], store.ErrMisconfigured) {
				c.log.Error("an output was not tagged", "requestId", c.requestID(ctx), "error", cut(errs[i].Error(), longText))
				errs[i] = nil
			}
			return nil
		})
	}
	tagging.Wait()
	return tags, worst(errs)
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
		case errors.Is(err, store.ErrUnavailable):
			r = 1
		case errors.Is(err, store.ErrMisconfigured):
			r = 2
		}
		if r > rank {
			found, rank = err, r
		}
	}
	return found
}
