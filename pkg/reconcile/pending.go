package reconcile

import (
	"slices"

	"github.com/ci-callback/ci-callback/pkg/ci"
)

// maxPending is how many jobs of one listing can wait to be asked for.
const maxPending = 10_000

// A queue holds the ids of jobs that are to be asked for, each once.
type queue struct {
	ids     []string
	waiting map[string]bool // the same
	missed  map[string]bool // those that CI did not know the last time
}

func newQueue(pending, missed []string) *queue {
	q := &queue{waiting: map[string]bool{}, missed: map[string]bool{}}
	for _, id := range pending {
		if ci.IsID(id) {
			q.add(id)
		}
	}
	for _, id := range missed {
		if q.waiting[id] {
			q.missed[id] = true
		}
	}
	return q
}

// add puts an id at the end, unless it is there already. It reports whether the id waits
// now: there is room for maxPending.
func (q *queue) add(id string) bool {
	if q.waiting[id] {
		return true
	}
	if len(q.ids) >= maxPending {
		return false
	}
	q.ids = append(q.ids, id)
	q.waiting[id] = true
	return true
}

// remove takes an id away, if it is there.
func (q *queue) remove(id string) {
	if q.waiting[id] {
		q.ids = slices.DeleteFunc(q.ids, func(other string) bool { return other == id })
		delete(q.waiting, id)
		delete(q.missed, id)
	}
}

// moveToEnd lets others have their turn before an id is asked for again.
func (q *queue) moveToEnd(id string) {
	if i := slices.Index(q.ids, id); i >= 0 {
		q.ids = append(slices.Delete(q.ids, i, i+1), id)
	}
}

// miss notes that CI does not know an id, and reports whether that was so the last time
// too.
func (q *queue) miss(id string) (again bool) {
	again = q.missed[id]
	q.missed[id] = true
	return again
}

// found notes that CI knows an id.
func (q *queue) found(id string) { delete(q.missed, id) }

// missedIDs returns the missed ids in the order of the pending ones.
func (q *queue) missedIDs() []string {
	var ids []string
	for _, id := range q.ids {
		if q.missed[id] {
			ids = append(ids, id)
		}
	}
	return ids
}
