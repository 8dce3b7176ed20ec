package model

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"time"
)

// Compare returns a positive number if a is the newer of two encoded records of one job,
// a negative number if that is b, and 0 only for equal bytes. The first of these that
// tells them apart decides:
//
//  1. what is a record is newer than what cannot be read as one,
//  2. a record of a later format than this package knows is newer than one that it knows,
//  3. a state that a job does not leave (see [IsTerminal]) is newer than any other,
//  4. what CI answered to a query is newer than what a callback said,
//  5. the later of endTime, else startTime, else creationTime, where a record that has
//     none of them is the oldest,
//  6. the worse verdict: violation, suspected, normal, none,
//  7. the later version of the format,
//  8. the greater bytes.
//
// This is a total order, so that callbacks that come in any order, any number of times,
// end in the same record. Records are compared encoded because the largest has 25 MB,
// and two of them must fit into 128 MB.
func Compare(a, b []byte) int {
	if bytes.Equal(a, b) {
		return 0
	}
	return compare(summarize(a), summarize(b), a, b)
}

// compare is Compare for records whose summaries were read already.
func compare(summaryA, summaryB summary, a, b []byte) int {
	return cmp.Or(summaryA.orderKey().compare(summaryB.orderKey()), bytes.Compare(a, b))
}

// Supersedes reports whether stored is a record of the same job as ours, and newer.
func Supersedes(stored, ours []byte) bool {
	a, b := summarize(stored), summarize(ours)
	return a.isRecord() && a.Kind == b.Kind && a.ID == b.ID && compare(a, b, stored, ours) > 0
}

// summary is as much of an encoded record as the order looks at. It leaves out what may
// be long.
type summary struct {
	Version                          int
	Kind                             Kind
	ID                               string
	Source                           string
	State                            string
	Verdict                          Verdict
	EndTime, StartTime, CreationTime string
	Detail                           *struct{}
}

// summarize reads the summary of an encoded record. Of anything else it returns one that
// is not a record's.
func summarize(encoded []byte) summary {
	var s summary
	if err := json.Unmarshal(encoded, &s); err != nil && !IsLaterFormat(err, s.Version) {
		return summary{}
	}
	return s
}

// summary returns what summarize would read of the encoded record.
func (r *Record) summary() summary {
	return summary{
		Version: r.Version, Kind: r.Kind, ID: r.ID, Source: r.Source, State: r.State, Verdict: r.Verdict,
		EndTime: r.EndTime, StartTime: r.StartTime, CreationTime: r.CreationTime, Detail: &struct{}{},
	}
}

func (s summary) isRecord() bool {
	return isRecord(s.Version, s.Kind, s.ID, s.State, s.Detail != nil)
}

// orderKey is what decides before the bytes do. Of what is not a record, and of a record
// of a later format, nothing but that is looked at.
type orderKey struct {
	record      bool
	laterFormat bool
	terminal    bool
	query       bool
	hasTime     bool
	time        time.Time
	verdict     int
	version     int
}

func (s summary) orderKey() orderKey {
	switch {
	case !s.isRecord():
		return orderKey{}
	case s.Version > Version:
		return orderKey{record: true, laterFormat: true, version: s.Version}
	}
	k := orderKey{
		record: true, terminal: IsTerminal(s.State), query: s.Source == SourceQuery,
		verdict: slices.Index([]Verdict{VerdictNormal, VerdictSuspected, VerdictViolation}, s.Verdict), version: s.Version,
	}
	k.time, k.hasTime = firstTime(s.EndTime, s.StartTime, s.CreationTime)
	return k
}

func (k orderKey) compare(other orderKey) int {
	return cmp.Or(
		compareBool(k.record, other.record),
		compareBool(k.laterFormat, other.laterFormat),
		compareBool(k.terminal, other.terminal),
		compareBool(k.query, other.query),
		compareBool(k.hasTime, other.hasTime),
		k.time.Compare(other.time),
		cmp.Compare(k.verdict, other.verdict),
		cmp.Compare(k.version, other.version),
	)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	default:
		return -1
	}
}

// Agrees reports whether a record says the same of a job as CI does when it is asked:
// both have the same state; their endTimes are no more than a minute apart, where both
// have one; and of every object that has an MD5 in both it is the same one. A callback
// and a query never agree byte for byte.
func Agrees(recorded, asked *Record) bool {
	return recorded.State == asked.State && endsAgree(recorded.EndTime, asked.EndTime) && md5sAgree(recorded.Outputs, asked.Outputs)
}

func endsAgree(a, b string) bool {
	timeA, okA := parseTime(a)
	timeB, okB := parseTime(b)
	return !okA || !okB || timeA.Sub(timeB).Abs() <= time.Minute
}

func md5sAgree(a, b []Output) bool {
	md5s := make(map[Object]string, len(a))
	for _, output := range a {
		md5s[output.Object] = output.MD5
	}
	for _, output := range b {
		if md5 := md5s[output.Object]; md5 != "" && output.MD5 != "" && md5 != output.MD5 {
			return false
		}
	}
	return true
}

// splitVersions returns the newest record of each id, at the place where the id first
// occurs, and the other versions, in the order of the body. Records of one id that have
// the same bytes are one version.
func splitVersions(records []*Record) (newest, older []*Record, err error) {
	type job struct {
		kind Kind
		id   string
	}
	indices := make(map[job][]int, len(records))
	for i, r := range records {
		j := job{r.Kind, r.ID}
		indices[j] = append(indices[j], i)
	}
	var olderIndices []int
	for i, r := range records {
		ofJob := indices[job{r.Kind, r.ID}]
		if ofJob[0] != i {
			continue
		}
		last, others, err := newestOf(records, ofJob)
		if err != nil {
			return nil, nil, err
		}
		newest = append(newest, records[last])
		olderIndices = append(olderIndices, others...)
	}
	slices.Sort(olderIndices)
	for _, i := range olderIndices {
		older = append(older, records[i])
	}
	return newest, older, nil
}

// newestOf returns the index of the newest of the records at those indices, which are of
// one job, and the indices of its other versions. It holds no more than two encoded
// records at a time: a body may name one id a thousand times.
func newestOf(records []*Record, indices []int) (newest int, others []int, err error) {
	newest = indices[0]
	if len(indices) == 1 {
		return newest, nil, nil
	}
	var newestBytes []byte
	seen := map[[sha256.Size]byte]bool{}
	for _, i := range indices {
		encoded, err := records[i].Encode()
		if err != nil {
			return 0, nil, err
		}
		sum := sha256.Sum256(encoded)
		switch {
		case seen[sum]:
		case newestBytes == nil:
			newestBytes = encoded
		case compare(records[i].summary(), records[newest].summary(), encoded, newestBytes) > 0:
			others = append(others, newest)
			newest, newestBytes = i, encoded
		default:
			others = append(others, i)
		}
		seen[sum] = true
	}
	return newest, others, nil
}
