package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/ci-callback/ci-callback/pkg/coslocal"
	"github.com/ci-callback/ci-callback/pkg/model"
)

// sampleOutputs returns the objects that the sample callbacks name with an MD5.
func sampleOutputs(project string) ([]model.Output, error) {
	files, err := filepath.Glob(filepath.Join(project, "testdata", "callbacks", "*"))
	if err != nil {
		return nil, err
	}
	var outputs []model.Output
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read sample callback: %w", err)
		}
		callback, err := model.Decode(body)
		if callback == nil {
			return nil, fmt.Errorf("read sample callback %s: %w", file, err)
		}
		for _, record := range callback.Records {
			outputs = append(outputs, withMD5(record.Outputs)...)
		}
	}
	return outputs, nil
}

// withMD5 returns the outputs that can be tagged.
func withMD5(outputs []model.Output) []model.Output {
	return slices.DeleteFunc(slices.Clone(outputs), func(o model.Output) bool { return o.MD5 == "" || o.Bucket == "" })
}

// bucketsOf returns the buckets that outputs are in, each once.
func bucketsOf(outputs []model.Output) []string {
	var buckets []string
	for _, o := range outputs {
		buckets = append(buckets, o.Bucket)
	}
	slices.Sort(buckets)
	return slices.Compact(buckets)
}

// inBuckets returns the outputs that are in one of the buckets.
func inBuckets(outputs []model.Output, buckets []string) []model.Output {
	return slices.DeleteFunc(slices.Clone(outputs), func(o model.Output) bool { return !slices.Contains(buckets, o.Bucket) })
}

// putSamples puts each output of the sample callbacks where its job wrote it, unless
// there is an object already, so that every sample can be tagged.
func (pl *platform) putSamples(outputs []model.Output) error {
	for _, o := range outputs {
		if _, found := pl.cos.Object(o.Bucket, o.Key); found {
			continue
		}
		err := pl.cos.PutObject(o.Bucket, o.Key, coslocal.Object{
			Body:         []byte("the output of a sample callback\n"),
			ETag:         o.MD5,
			LastModified: time.Date(2015, 1, 1, 0, 0, 0, 0, time.UTC), // before the end of any of the jobs
		})
		if err != nil {
			return fmt.Errorf("put the output of a sample callback: %w", err)
		}
	}
	return nil
}
