package model

import (
	"bytes"
	"cmp"
	"slices"
	"time"
)

// terminalStates are the states a job does not leave. CI documents Success,
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
	return cmp.Or(ageOf(a).compare(ageOf(b)), bytes.Compare(a, b))
}

// age is what the order looks at, but for the bytes.
type age struct {
	record, terminal bool
	time             time.Time
}

func ageOf(encoded []byte) age {
	r, err := ParseRecord(encoded)
	if err != nil {
		return age{}
	}
	a := age{record: true, terminal: terminal(r.State)}
	for _, s := range []string{r.EndTime, r.StartTime, r.CreationTime} {
		if t, ok := instant(s); ok {
			a.time = t
			break
		}
	}
	return a
}

func (a age) compare(b age) int {
	return cmp.Or(compareBool(a.record, b.record), compareBool(a.terminal, b.terminal), a.time.Compare(b.time))
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

// newest leaves one record for each id, the newer, at the place of the first.
func newest(records []*Record) ([]*Record, error) {
	type key struct {
		kind Kind
		id   string
	}
	at := make(map[key]int, len(records))
	kept := records[:0]
	for _, r := range records {
		k := key{r.Kind, r.ID}
		i, again := at[k]
		if !again {
			at[k] = len(kept)
			kept = append(kept, r)
			continue
		}
		old, err := kept[i].Encode()
		if err != nil {
			return nil, err
		}
		new, err := r.Encode()
		if err != nil {
			return nil, err
		}
		if Compare(new, old) > 0 {
			kept[i] = r
		}
	}
	return slices.Clip(kept), nil
}
