package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/cosname"
	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/pkg/parallel"
)

// TagOutcome says what became of an output's tag.
type TagOutcome string

// The outcomes of TagOutput.
const (
	Tagged    TagOutcome = "tagged"
	Unchanged TagOutcome = "unchanged" // the tag was there already
	Skipped   TagOutcome = "skipped"   // it is not to be tagged
	Failed    TagOutcome = "failed"    // COS refused, or was out of reach
)

// A TagResult is what became of the tag of one output. Reason says why it was skipped or
// failed.
type TagResult struct {
	Bucket  string
	Object  string // the key
	Outcome TagOutcome
	Reason  string
}

// Limits of tagging.
const (
	maxTags      = 10              // https://www.tencentcloud.com/document/product/436/35665
	settlingTime = 5 * time.Minute // after a job's end, its output may still be written
	maxGarbled   = 3               // tries at a tag set that is none
)

// TagOutput tags an output with its MD5. ended is when the job ended, zero if that is not
// known: an object that was overwritten since is not tagged.
//
// Every tag that stood when the set was read stays. The error is nil unless trying again
// later may help, or a setting must change; it wraps [cosclient.ErrUnavailable] or
// [cosclient.ErrMisconfigured], and the result says so too.
func (s *Store) TagOutput(ctx context.Context, o model.Output, ended time.Time) (TagResult, error) {
	result := TagResult{Bucket: o.Bucket, Object: o.Key}
	c, err := s.taggingClient(o)
	if err != nil {
		return result.with(Skipped, err), nil
	}
	response, set, headErr := s.headAndTags(ctx, c, o.Key)
	switch {
	case headErr != nil && !isMissing(headErr):
		return result.with(Failed, headErr), headErr
	case isMissing(headErr) || isMissing(set.err):
		return result.with(Skipped, ErrNotFound), nil
	case isOverwritten(response, o, ended):
		reason := fmt.Errorf("the object was overwritten since the job: it is of %s", modified(response.Header).Format(time.RFC3339))
		return result.with(Skipped, reason), nil
	case set.err != nil:
		return result.with(Failed, set.err), set.err
	}
	outcome, err := s.addTag(ctx, c, o, set)
	switch {
	case errors.Is(err, errTooManyTags):
		return result.with(Skipped, err), nil
	case isMissing(err):
		return result.with(Skipped, ErrNotFound), nil
	case err != nil:
		return result.with(Failed, err), err
	}
	result.Outcome = outcome
	return result, nil
}

// errTooManyTags means that an object has as many tags of others as it can have.
var errTooManyTags = errors.New("the object has 10 tags already, as many as COS allows")

// with returns a result with an outcome and its reason.
func (t TagResult) with(outcome TagOutcome, reason error) TagResult {
	t.Outcome, t.Reason = outcome, reason.Error()
	return t
}

// taggingClient returns the client for an output that may be tagged. It checks all of the
// output before any request is made about it, since all of it is a stranger's text.
func (s *Store) taggingClient(o model.Output) (*bucketClient, error) {
	if err := s.options.CheckTagBucket(o.Bucket); err != nil {
		return nil, err
	}
	return s.outputClient(o)
}

// CheckTagBucket returns an error that says why the objects of a bucket may not be tagged:
// only those of TagBuckets may be or, where there are none, those of AppID.
func (o Options) CheckTagBucket(bucket string) error {
	if err := cosname.CheckBucket(bucket); err != nil {
		return err
	}
	switch {
	case len(o.TagBuckets) == 0 && cosname.AppID(bucket) != o.AppID:
		return fmt.Errorf("bucket %s is not of AppID %s: name it in TAG_BUCKETS if it is to be tagged", bucket, o.AppID)
	case len(o.TagBuckets) > 0 && !slices.Contains(o.TagBuckets, bucket):
		return fmt.Errorf("bucket %s is not one of TAG_BUCKETS", bucket)
	}
	return nil
}

// outputClient returns the client of an output's bucket. It checks bucket, region and key.
func (s *Store) outputClient(o model.Output) (*bucketClient, error) {
	if err := cosname.CheckKey(o.Key); err != nil {
		return nil, err
	}
	return s.pool.client(s.options.Endpoint, o.Bucket, o.Region)
}

// isOverwritten reports whether an object was written after the job that ended then. An
// ETag that is not the MD5 alone proves nothing: those of multipart and encrypted objects
// are others.
func isOverwritten(response *cos.Response, o model.Output, ended time.Time) bool {
	if ended.IsZero() || strings.EqualFold(etag(response.Header), o.MD5) {
		return false
	}
	return modified(response.Header).After(ended.Add(settlingTime))
}

// headAndTags asks for an object's head and for its tags, side by side.
func (s *Store) headAndTags(ctx context.Context, c *bucketClient, key string) (response *cos.Response, set tagSet, headErr error) {
	errs := parallel.ForEach(2, 2, func(i int) (err error) {
		if i == 0 {
			response, err = cosclient.Retry(ctx, s.session, func() (*cos.Response, error) { return s.head(ctx, c, key) })
		} else {
			set = s.readTags(ctx, c, key)
			err = set.err
		}
		return err
	})
	set.err = errs[1]
	return response, set, errs[0]
}

// head asks for an object's head, in one try.
func (s *Store) head(ctx context.Context, c *bucketClient, key string) (*cos.Response, error) {
	response, err := s.try(ctx, func(ctx context.Context) (*cos.Response, error) { return c.client.Object.Head(ctx, key, nil) })
	if err = cosclient.RequireCOS(response, err); err != nil {
		return nil, newError(headObject, c.bucket, key, err)
	}
	return response, nil
}

// tagSet is a tag set that was read, or the error.
type tagSet struct {
	tags []cos.ObjectTaggingTag
	err  error
}

// readTags reads an object's tags. What is no tag set is read again a few times, and
// then given up for good: it must never be taken for an empty one.
func (s *Store) readTags(ctx context.Context, c *bucketClient, key string) tagSet {
	garbled := 0
	tags, err := cosclient.Retry(ctx, s.session, func() ([]cos.ObjectTaggingTag, error) {
		tags, err := s.tags(ctx, c, key)
		if e, ok := errors.AsType[*cosclient.Error](err); ok && errors.Is(err, cosclient.ErrNotFromService) {
			if garbled++; garbled == maxGarbled {
				e.Kind, e.Remedy = cosclient.ErrMisconfigured, "what answers for COS sends no tag set: check COS_ENDPOINT"
			}
		}
		return tags, err
	})
	return tagSet{tags, err}
}

// tags reads an object's tags, in one try. An object without tags has an empty set or, as
// Tencent's Node SDK expects, none.
func (s *Store) tags(ctx context.Context, c *bucketClient, key string) ([]cos.ObjectTaggingTag, error) {
	var result *cos.ObjectGetTaggingResult
	_, err := s.try(ctx, func(ctx context.Context) (response *cos.Response, err error) {
		result, response, err = c.client.Object.GetTagging(ctx, key)
		return response, err
	})
	if response, ok := errors.AsType[*cos.ErrorResponse](err); ok && response.Code == "NoSuchTagSet" {
		return nil, nil
	}
	if err != nil {
		return nil, newError(getTags, c.bucket, key, err)
	}
	return result.TagSet, nil
}

// addTag puts the MD5 into a set that was read, and the set back. After a fault it
// reads the set again: another may have written it in between.
func (s *Store) addTag(ctx context.Context, c *bucketClient, o model.Output, set tagSet) (TagOutcome, error) {
	fresh, wrote := true, false
	return cosclient.Retry(ctx, s.session, func() (TagOutcome, error) {
		if !fresh {
			set = s.readTags(ctx, c, o.Key)
		}
		fresh = false
		if set.err != nil {
			return "", set.err
		}
		merged, changed := withTag(set.tags, cos.ObjectTaggingTag{Key: s.options.TagKey, Value: o.MD5})
		switch {
		case !changed && wrote: // its answer was lost
			return Tagged, nil
		case !changed:
			return Unchanged, nil
		case len(merged) > maxTags:
			return "", errTooManyTags
		}
		wrote = true
		response, err := s.try(ctx, func(ctx context.Context) (*cos.Response, error) {
			return c.client.Object.PutTagging(ctx, o.Key, &cos.ObjectPutTaggingOptions{TagSet: merged})
		})
		if err = cosclient.RequireCOS(response, err); err != nil {
			return "", newError(putTags, c.bucket, o.Key, err)
		}
		return Tagged, nil
	})
}

// withTag returns a set with a tag in it, and whether that changed it.
func withTag(set []cos.ObjectTaggingTag, tag cos.ObjectTaggingTag) ([]cos.ObjectTaggingTag, bool) {
	i := slices.IndexFunc(set, func(t cos.ObjectTaggingTag) bool { return t.Key == tag.Key })
	switch {
	case i < 0:
		return append(slices.Clone(set), tag), true
	case set[i].Value == tag.Value:
		return set, false
	default:
		merged := slices.Clone(set)
		merged[i] = tag
		return merged, true
	}
}
