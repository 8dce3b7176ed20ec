package model

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"time"
)

// terminal tells the states that a job does not leave. CI documents Success,
// Failed and Cancel beside Submitted, Running and Pause.
// https://www.tencentcloud.com/document/product/1045/49942
func terminal(state string) bool {
	return state == "Success" || state == "Failed" || state == "Cancel"
}

// Compare says which of two encoded records of one job is the newer: negative if
// that is b, positive if it is a, and 0 only for equal bytes. A terminal state is
// newer than any other; then decides the later of endTime, else startTime, else
// creationTime, where a record without a time is the oldest; then the greater
// bytes. What cannot be read as a record is older than any record.
//
// This is a total order, so that callbacks that come in any order, any number of
// times, end in the same record.
func Compare(a, b []byte) int {
	if bytes.Equal(a, b) {
		return 0
	}
	return compare(headOf(a), headOf(b), a, b)
}

// compare is Compare for records whose heads are read already.
func compare(headA, headB head, a, b []byte) int {
	return cmp.Or(headA.age().compare(headB.age()), bytes.Compare(a, b))
}

// Newer tells whether stored is a record, of the same job as ours, and newer.
func Newer(stored, ours []byte) bool {
	a, b := headOf(stored), headOf(ours)
	return a.isRecord() && a.Kind == b.Kind && a.ID == b.ID && compare(a, b, stored, ours) > 0
}

// head is as much of an encoded record as the order looks at. It leaves out what is
// long: the largest record has 25 MB, and two are compared in 128 MB.
type head struct {
	Version                          int
	Kind                             Kind
	ID                               string
	State                            string
	EndTime, StartTime, CreationTime string
	Detail                           *struct{}
}

// headOf reads the head of an encoded record; of anything else it gives one that is none.
func headOf(encoded []byte) head {
	var h head
	if json.Unmarshal(encoded, &h) != nil {
		return head{}
	}
	return h
}

func (r *Record) head() head {
	return head{r.Version, r.Kind, r.ID, r.State, r.EndTime, r.StartTime, r.CreationTime, &struct{}{}}
}

func (h head) isRecord() bool {
	known := h.Kind == KindJob || h.Kind == KindWorkflow || h.Kind == KindReview
	return h.Version == Version && known && validID.MatchString(h.ID) && h.State != "" && h.Detail != nil
}

// age is what the order looks at, but for the bytes.
type age struct {
	record, terminal, timed bool
	time                    time.Time
}

func (h head) age() age {
	a := age{record: h.isRecord()}
	if !a.record {
		return a
	}
	a.terminal = terminal(h.State)
	for _, s := range []string{h.EndTime, h.StartTime, h.CreationTime} {
		if a.time, a.timed = instant(s); a.timed {
			break
		}
	}
	return a
}

func (a age) compare(b age) int {
	return cmp.Or(
		compareBool(a.record, b.record),
		compareBool(a.terminal, b.terminal),
		compareBool(a.timed, b.timed),
		a.time.Compare(b.time),
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

// newest leaves one record for each id, the newer, at the place of the first. It
// encodes no record twice: a body may name one id a thousand times.
func newest(records []*Record) ([]*Record, error) {
	type key struct {
		kind Kind
		id   string
	}
	at := make(map[key]int, len(records))
	encoded := map[key][]byte{} // the newest of each id that occurs again
	kept := records[:0]
	for _, r := range records {
		k := key{r.Kind, r.ID}
		i, again := at[k]
		if !again {
			at[k] = len(kept)
			kept = append(kept, r)
			continue
		}
		old := encoded[k]
		if old == nil {
			var err error
			if old, err = kept[i].Encode(); err != nil {
				return nil, err
			}
		}
		now, err := r.Encode()
		if err != nil {
			return nil, err
		}
		if compare(r.head(), kept[i].head(), now, old) > 0 {
			kept[i], old = r, now
		}
		encoded[k] = old
	}
	return slices.Clip(kept), nil
}
