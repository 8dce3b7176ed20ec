package main

import (
	"cmp"
	"context"
	"crypto/md5"
	"encoding/xml"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ci-callback/ci-callback/pkg/cosname"
	"github.com/ci-callback/ci-callback/scripts/internal/wire"
)

// put writes an object; unless it was refused, it is removed at the end.
func (s *survey) put(ctx context.Context, name, body string, header http.Header) (wire.Answer, error) {
	key := s.prefix + name
	a, err := s.records.Do(ctx, wire.Request{Method: http.MethodPut, Path: key, Body: []byte(body), Header: header})
	if refused := err == nil && a.Status >= 400 && a.Status < 500; !refused && !slices.Contains(s.written, key) {
		s.written = append(s.written, key)
	}
	return a, err
}

// request makes any other request on an object.
func (s *survey) request(ctx context.Context, method, name, query string) (wire.Answer, error) {
	return s.records.Do(ctx, wire.Request{Method: method, Path: s.prefix + name, Query: query})
}

// tag replaces the tags of an object with one.
func (s *survey) tag(ctx context.Context, name, value string) (wire.Answer, error) {
	return s.putTags(ctx, name, []string{"survey"}, value)
}

// putTags replaces the tags of an object with some that share a value.
func (s *survey) putTags(ctx context.Context, name string, keys []string, value string) (wire.Answer, error) {
	body := "<Tagging><TagSet>"
	for _, key := range keys {
		body += "<Tag><Key>" + key + "</Key><Value>" + value + "</Value></Tag>"
	}
	body += "</TagSet></Tagging>"
	return s.records.Do(ctx, wire.Request{Method: http.MethodPut, Path: s.prefix + name, Query: "tagging", Body: []byte(body),
		Header: http.Header{"Content-Type": {"application/xml"}}})
}

// inTurn makes requests one after the other, and returns the last answer, or the first
// that is an error.
func inTurn(requests ...func() (wire.Answer, error)) (a wire.Answer, err error) {
	for _, request := range requests {
		if a, err = request(); err != nil || a.Status >= 300 {
			return a, err
		}
	}
	return a, nil
}

// one judges without an answer of COS or CI.
func one(agrees bool) verdict { return judge(wire.Answer{}, agrees) }

// judge returns same or different. An answer that refuses the question settles nothing.
func judge(a wire.Answer, agrees bool) verdict {
	switch {
	case agrees:
		return same
	case a.Status == http.StatusForbidden || a.Status >= 500 || a.Status == http.StatusTooManyRequests:
		return open
	default:
		return different
	}
}

func createOnly() http.Header { return http.Header{"X-Cos-Forbid-Overwrite": {"true"}} }

func askConflict(ctx context.Context, s *survey) (string, verdict, error) {
	a, err := inTurn(
		func() (wire.Answer, error) { return s.put(ctx, "conflict", "1", createOnly()) },
		func() (wire.Answer, error) { return s.put(ctx, "conflict", "2", createOnly()) })
	return a.String(), judge(a, a.Status == http.StatusConflict), err
}

func askConditions(ctx context.Context, s *survey) (string, verdict, error) {
	none, err := inTurn(
		func() (wire.Answer, error) { return s.put(ctx, "conditions", "1", nil) },
		func() (wire.Answer, error) { return s.put(ctx, "conditions", "2", http.Header{"If-None-Match": {"*"}}) })
	if err != nil {
		return "", "", err
	}
	match, err := s.put(ctx, "conditions", "3", http.Header{"If-Match": {`"00000000000000000000000000000000"`}})
	observed := fmt.Sprintf("If-None-Match: * answers %s, If-Match of another ETag %s", none, match)
	return observed, judge(match, none.Status == http.StatusOK && match.Status == http.StatusOK), err
}

// askMissingKey takes 403 for a finding, not for a refusal: it is what the question is
// about.
func askMissingKey(ctx context.Context, s *survey) (string, verdict, error) {
	a, err := s.request(ctx, http.MethodGet, "missing", "")
	if err == nil && a.Status == http.StatusForbidden {
		return a.String(), different, nil
	}
	return a.String(), judge(a, a.Status == http.StatusNotFound && a.Code == "NoSuchKey"), err
}

func askUntagged(ctx context.Context, s *survey) (string, verdict, error) {
	a, err := inTurn(
		func() (wire.Answer, error) { return s.put(ctx, "untagged", "1", nil) },
		func() (wire.Answer, error) { return s.request(ctx, http.MethodGet, "untagged", "tagging") })
	tags, isSet := readTags(a)
	empty := a.Status == http.StatusOK && isSet && len(tags) == 0
	return describeTags(a), judge(a, empty || a.Code == "NoSuchTagSet"), err
}

// readTags returns the values of a tag set, and reports whether the answer is one.
func readTags(a wire.Answer) ([]string, bool) {
	var t struct {
		XMLName xml.Name `xml:"Tagging"`
		Values  []string `xml:"TagSet>Tag>Value"`
	}
	err := xml.Unmarshal(a.Body, &t)
	return t.Values, err == nil
}

func describeTags(a wire.Answer) string {
	if tags, isSet := readTags(a); isSet {
		return fmt.Sprintf("%s, %d tags", a, len(tags))
	}
	return a.String() + ", no tag set"
}

func askOverwrite(ctx context.Context, s *survey) (string, verdict, error) {
	a, err := inTurn(
		func() (wire.Answer, error) { return s.put(ctx, "overwritten", "1", nil) },
		func() (wire.Answer, error) { return s.tag(ctx, "overwritten", "x") },
		func() (wire.Answer, error) { return s.put(ctx, "overwritten", "2", nil) },
		func() (wire.Answer, error) { return s.request(ctx, http.MethodGet, "overwritten", "tagging") })
	tags, isSet := readTags(a)
	return describeTags(a), judge(a, isSet && len(tags) == 0 || a.Code == "NoSuchTagSet"), err
}

func askTouched(ctx context.Context, s *survey) (string, verdict, error) {
	head := func() (wire.Answer, error) { return s.request(ctx, http.MethodHead, "touched", "") }
	before, err := inTurn(func() (wire.Answer, error) { return s.put(ctx, "touched", "1", nil) }, head)
	if err != nil || before.Status >= 300 {
		return before.String(), open, err
	}
	s.pause(ctx, 2*time.Second) // Last-Modified has whole seconds
	after, err := inTurn(func() (wire.Answer, error) { return s.tag(ctx, "touched", "x") }, head)
	if err != nil || after.Status >= 300 {
		return after.String(), open, err
	}
	var changed []string
	for _, name := range []string{"ETag", "Last-Modified"} {
		if before.Header.Get(name) != after.Header.Get(name) {
			changed = append(changed, name)
		}
	}
	return cmp.Or(strings.Join(changed, " and "), "neither"), judge(after, len(changed) == 0), nil
}

func askTagMissing(ctx context.Context, s *survey) (string, verdict, error) {
	a, err := s.tag(ctx, "missing", "x")
	return a.String(), judge(a, a.Status == http.StatusNotFound && a.Code == "NoSuchKey"), err
}

func askTagLag(ctx context.Context, s *survey) (string, verdict, error) {
	if a, err := s.put(ctx, "lag", "1", nil); err != nil || a.Status >= 300 {
		return a.String(), open, err
	}
	return s.inRounds(func(round string) (wire.Answer, bool, error) {
		a, err := inTurn(
			func() (wire.Answer, error) { return s.tag(ctx, "lag", round) },
			func() (wire.Answer, error) { return s.request(ctx, http.MethodGet, "lag", "tagging") })
		tags, _ := readTags(a)
		return a, len(tags) == 1 && tags[0] == round, err
	})
}

func askStale(ctx context.Context, s *survey) (string, verdict, error) {
	return s.inRounds(func(round string) (wire.Answer, bool, error) {
		a, err := inTurn(
			func() (wire.Answer, error) { return s.put(ctx, "stale", round, nil) },
			func() (wire.Answer, error) { return s.request(ctx, http.MethodGet, "stale", "") })
		return a, string(a.Body) == round, err
	})
}

// inRounds writes and reads again and again, and counts how often what was read is old.
func (s *survey) inRounds(writeAndRead func(round string) (a wire.Answer, fresh bool, err error)) (string, verdict, error) {
	old := 0
	for i := range s.rounds {
		a, fresh, err := writeAndRead(fmt.Sprint("round", i))
		if err != nil || a.Status != http.StatusOK {
			return a.String(), open, err
		}
		if !fresh {
			old++
		}
	}
	return fmt.Sprintf("the old one in %d of %d rounds", old, s.rounds), one(old == 0), nil
}

func askETag(ctx context.Context, s *survey) (string, verdict, error) {
	const body = "a simple PUT"
	a, err := inTurn(
		func() (wire.Answer, error) { return s.put(ctx, "etag", body, nil) },
		func() (wire.Answer, error) { return s.request(ctx, http.MethodHead, "etag", "") })
	etag := strings.Trim(a.Header.Get("ETag"), `"`)
	if etag == fmt.Sprintf("%x", md5.Sum([]byte(body))) {
		return "its MD5", same, err
	}
	return fmt.Sprintf("%s, ETag %.80q", a, etag), judge(a, false), err
}

func askDeleteMissing(ctx context.Context, s *survey) (string, verdict, error) {
	a, err := s.request(ctx, http.MethodDelete, "missing", "")
	return a.String(), judge(a, a.Status == http.StatusNoContent), err
}

// askSkew reads an object that is there: where one is missing, 403 could mean that, too.
func askSkew(ctx context.Context, s *survey) (string, verdict, error) {
	if a, err := s.put(ctx, "skew", "1", nil); err != nil || a.Status >= 300 {
		return a.String(), open, err
	}
	accepted := 0
	for _, minutes := range []int{1, 5, 10, 14, 16, 20, 30, 60, 120} {
		a, err := s.records.Do(ctx, wire.Request{Method: http.MethodGet, Path: s.prefix + "skew", Ahead: time.Duration(minutes) * time.Minute})
		switch {
		case err != nil:
			return "", "", err
		case a.Status == http.StatusForbidden:
			return fmt.Sprintf("%d minutes are accepted, %d answer %s", accepted, minutes, a), one(accepted == 14), nil
		}
		accepted = minutes
	}
	return fmt.Sprintf("%d minutes and perhaps any number", accepted), different, nil
}

func askTagHeader(ctx context.Context, s *survey) (string, verdict, error) {
	withHeader, err := s.put(ctx, "tagheader", "1", http.Header{"X-Cos-Tagging": {"survey=x"}})
	if err != nil {
		return "", "", err
	}
	apart, err := s.tag(ctx, "tagheader", "x")
	if err != nil {
		return "", "", err
	}
	observed := fmt.Sprintf("with the header %s, PUT ?tagging %s", withHeader, apart)
	if apart.Status != http.StatusForbidden {
		return observed + ": it takes a key without name/cos:PutObjectTagging to tell", open, nil
	}
	return observed, one(withHeader.Status == http.StatusForbidden), nil
}

func askReplaced(ctx context.Context, s *survey) (string, verdict, error) {
	a, err := inTurn(
		func() (wire.Answer, error) { return s.put(ctx, "replaced", "1", nil) },
		func() (wire.Answer, error) { return s.putTags(ctx, "replaced", []string{"first"}, "1") },
		func() (wire.Answer, error) { return s.putTags(ctx, "replaced", []string{"second"}, "2") },
		func() (wire.Answer, error) { return s.request(ctx, http.MethodGet, "replaced", "tagging") })
	tags, _ := readTags(a)
	return describeTags(a), judge(a, slices.Equal(tags, []string{"2"})), err
}

// askTags puts tags on an object, which must be answered with a status.
func askTags(status int, keys ...string) asker {
	return func(ctx context.Context, s *survey) (string, verdict, error) {
		name := fmt.Sprintf("tags%d", len(keys))
		a, err := inTurn(
			func() (wire.Answer, error) { return s.put(ctx, name, "1", nil) },
			func() (wire.Answer, error) { return s.putTags(ctx, name, keys, "x") })
		return a.String(), judge(a, a.Status == status), err
	}
}

// eleven are the keys of one tag more than an object can have.
func eleven() []string { return strings.Split("a,b,c,d,e,f,g,h,i,j,k", ",") }

func askCreated(ctx context.Context, s *survey) (string, verdict, error) {
	return s.inRounds(func(round string) (wire.Answer, bool, error) {
		name := "created-" + round
		if a, err := s.request(ctx, http.MethodGet, name, ""); err != nil {
			return a, false, err
		}
		a, err := inTurn(
			func() (wire.Answer, error) { return s.put(ctx, name, round, nil) },
			func() (wire.Answer, error) { return s.request(ctx, http.MethodGet, name, "") })
		if a.Status == http.StatusNotFound {
			return wire.Answer{Status: http.StatusOK}, false, err // the old one is that there is none
		}
		return a, string(a.Body) == round, err
	})
}

// askKey writes an object under an odd key, and looks whether it is there under a plain
// one, which the odd one would be if COS took it for a path. What is assumed is that the
// odd key names an object of its own, or that it does not.
func askKey(odd, plain string, itsOwn bool) asker {
	return func(ctx context.Context, s *survey) (string, verdict, error) {
		put, err := s.put(ctx, odd, "1", nil)
		if err != nil || put.Status >= 300 {
			return "refused: " + put.String(), judge(put, !itsOwn), err
		}
		other, err := s.request(ctx, http.MethodHead, plain, "")
		if err != nil || other.Status >= 300 {
			return "an object of its own", one(itsOwn), err
		}
		s.written = append(s.written, s.prefix+plain)
		return "it means " + plain, judge(other, !itsOwn), nil
	}
}

// askLongKey writes objects with the longest key and with one that is a byte longer.
func askLongKey(ctx context.Context, s *survey) (string, verdict, error) {
	name := strings.Repeat("k", cosname.MaxKeyBytes-len(s.prefix))
	longest, err := s.put(ctx, name, "1", nil)
	if err != nil {
		return "", "", err
	}
	longer, err := s.put(ctx, name+"k", "1", nil)
	observed := fmt.Sprintf("%d bytes answer %s, %d %s", cosname.MaxKeyBytes, longest, cosname.MaxKeyBytes+1, longer)
	return observed, judge(longest, longest.Status == http.StatusOK && longer.Status == http.StatusBadRequest), err
}

// askBadToken signs well and sends a session token that is none. That it is refused is
// what is asked about, and how.
func askBadToken(ctx context.Context, s *survey) (string, verdict, error) {
	other := *s
	other.records.Credentials.SessionToken = "survey"
	a, err := other.request(ctx, http.MethodGet, "token", "")
	return a.String(), one(a.Status >= 400 && a.Status < 500 && a.Code != "NoSuchKey"), err
}

// askEmptyKey must not write: what is written would be a bucket.
func askEmptyKey(ctx context.Context, s *survey) (string, verdict, error) {
	a, err := s.records.Do(ctx, wire.Request{Method: http.MethodGet, Query: "max-keys=1"})
	return a.String(), judge(a, strings.Contains(string(a.Body), "<ListBucketResult")), err
}
