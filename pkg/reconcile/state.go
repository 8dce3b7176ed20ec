package reconcile

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// StateVersion is the version of the state's format.
const StateVersion = 1

// StateKey returns where the state of a bucket is kept, below the prefix of the records.
func StateKey(prefix, bucket string) string { return prefix + "reconcile/" + bucket + ".json" }

// A State says how far a bucket's jobs have been compared. It is all that one run knows of
// those before it, and it is written whole: two runs at once each write what they saw.
type State struct {
	Version   int                 `json:"version"`
	Bucket    string              `json:"bucket"`
	Region    string              `json:"region"`
	Tags      map[string]*Listing `json:"tags,omitempty"`      // by job type
	Workflows map[string]*Listing `json:"workflows,omitempty"` // by workflow id
	Last      *LastRun            `json:"last,omitempty"`
}

// A Listing says how far the jobs of one type, or the runs of one workflow, have been
// compared: every job that was created up to Until has been, or is in Pending.
type Listing struct {
	Until time.Time `json:"until,omitzero"`

	// Next is the token of the page to go on with, where a run ended within a listing. It
	// belongs to the listing of the jobs created later than Since.
	Next  string    `json:"next,omitempty"`
	Since time.Time `json:"since,omitzero"`
	// Began is when the listing began that has not ended yet. Its end makes Until two
	// minutes less.
	Began time.Time `json:"began,omitzero"`

	Pending []string `json:"pending,omitempty"` // ids of jobs to be asked for, the next first
	Missed  []string `json:"missed,omitempty"`  // those of them that CI did not know the last time
}

// A LastRun is what the last run found in a bucket.
type LastRun struct {
	Began    time.Time `json:"began"`
	Ended    time.Time `json:"ended"`
	Complete bool      `json:"complete"` // the run came to the end of everything
	Counts
	Unknown  int       `json:"unknown"`            // ids that CI did not know twice
	Findings []Finding `json:"findings,omitempty"` // the last 100
}

// Counts are how many jobs became what. Checked is how many had ended and were compared,
// those that could not be compared to the end included.
type Counts struct {
	Checked  int `json:"checked"`
	Recorded int `json:"recorded"` // the record agreed with CI
	Repaired int `json:"repaired"` // there was no record of the job's end, and now there is
	Replaced int `json:"replaced"` // the record did not agree with CI, and now it does
}

func (c *Counts) add(other Counts) {
	c.Checked += other.Checked
	c.Recorded += other.Recorded
	c.Repaired += other.Repaired
	c.Replaced += other.Replaced
}

// A Finding is a job that was not simply recorded.
type Finding struct {
	Bucket  string  `json:"-"`
	ID      string  `json:"id"`
	Type    string  `json:"type"`            // the job's type, or the workflow's id
	Outcome Outcome `json:"outcome"`         // never Recorded
	State   string  `json:"state,omitempty"` // as CI has it
	Was     string  `json:"was,omitempty"`   // the state in the record; empty where there was none
}

// An Outcome says what became of a job.
type Outcome string

// The outcomes of a job that CI was asked about.
const (
	Recorded Outcome = "recorded" // its record agrees with CI
	Repaired Outcome = "repaired" // it had no record, or one of a job that still ran
	Replaced Outcome = "replaced" // its record did not agree with CI
	Unknown  Outcome = "unknown"  // CI did not know its id in two runs, one after the other
	Rejected Outcome = "rejected" // what CI says of it was not understood, and is kept
)

// ErrNotState says that bytes are not a state of a version that this package knows.
var ErrNotState = errors.New("not a state of the reconciliation")

// ParseState reads a state. Its error wraps [ErrNotState].
func ParseState(encoded []byte) (*State, error) {
	var s State
	if err := json.Unmarshal(encoded, &s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotState, err)
	}
	if s.Version != StateVersion {
		return nil, fmt.Errorf("%w: version %d", ErrNotState, s.Version)
	}
	return &s, nil
}

// encode returns the state's bytes, one line.
func (s *State) encode() ([]byte, error) {
	encoded, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode the state of bucket %s: %w", s.Bucket, err)
	}
	return append(encoded, '\n'), nil
}

// listing returns the listing of that name, made if there is none. A null counts as none.
func listing(of *map[string]*Listing, name string) *Listing {
	if *of == nil {
		*of = map[string]*Listing{}
	}
	l := (*of)[name]
	if l == nil {
		l = new(Listing)
		(*of)[name] = l
	}
	return l
}

// wholeSecond returns a time as CI's filters and the state have it: in whole seconds, the
// fraction cut off.
func wholeSecond(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }
