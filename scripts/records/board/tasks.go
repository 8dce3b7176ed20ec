package board

import (
	"context"
	"crypto/rand"
	"slices"
	"sync"
)

// maxTasks bounds the tasks whose outcome is kept.
const maxTasks = 100

// tasks are what the buttons started: those that run, and the outcome of those that
// ended, for as long as the process lives.
type tasks struct {
	background func(func(context.Context)) // runs a function until the board ends; nil before Serve

	mu    sync.Mutex
	done  map[string]*task
	order []string
}

// A task is something that a button started.
type task struct {
	ID, Title string
	Back      string // the page that it was started from
	Running   bool
	Progress  string // where it is, while it runs
	Lines     []string
	Problem   string // why it failed; empty if it did not
}

// add keeps a task and returns its id.
func (t *tasks) add(new task) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.keep(new)
}

// start keeps a task that runs from now on, and returns its id. Where one with its title
// runs already, it returns that one's id, and false.
func (t *tasks) start(new task) (id string, started bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, found := range t.done {
		if found.Running && found.Title == new.Title {
			return id, false
		}
	}
	new.Running = true
	return t.keep(new), true
}

// keep is add for who holds the lock. Of too many tasks, those that ended are forgotten,
// the oldest first.
func (t *tasks) keep(new task) string {
	new.ID = rand.Text()
	t.done[new.ID] = &new
	t.order = append(t.order, new.ID)
	if oldest := slices.IndexFunc(t.order, func(id string) bool { return !t.done[id].Running }); len(t.order) > maxTasks && oldest >= 0 {
		delete(t.done, t.order[oldest])
		t.order = slices.Delete(t.order, oldest, oldest+1)
	}
	return new.ID
}

// look returns a copy of a task, or nil.
func (t *tasks) look(id string) *task {
	t.mu.Lock()
	defer t.mu.Unlock()
	found, ok := t.done[id]
	if !ok {
		return nil
	}
	copied := *found
	return &copied
}

// change changes a task that is still kept.
func (t *tasks) change(id string, change func(*task)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if found, ok := t.done[id]; ok {
		change(found)
	}
}

// ended makes the outcome of something that was done at once a task, and returns its id.
func (t *tasks) ended(title string, lines []string, err error) string {
	outcome := task{Title: title, Lines: lines}
	if err != nil {
		outcome.Problem = err.Error()
	}
	return t.add(outcome)
}
