package parallel_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ci-callback/ci-callback/pkg/parallel"
)

func TestForEach(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ n, limit, wantAtOnce int }{
		{0, 4, 0}, {1, 4, 1}, {3, 4, 3}, {10, 4, 4}, {10, 1, 1},
	} {
		t.Run(fmt.Sprintf("%d_by_%d", test.n, test.limit), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				calls := make([]int, test.n)
				var running, most atomic.Int64
				errs := parallel.ForEach(test.n, test.limit, func(i int) error {
					most.Store(max(most.Load(), running.Add(1)))
					time.Sleep(time.Second)
					calls[i]++
					running.Add(-1)
					return fmt.Errorf("error of %d", i)
				})
				for i, n := range calls {
					if n != 1 || errs[i].Error() != fmt.Sprint("error of ", i) {
						t.Errorf("%d was called %d times; error %v", i, n, errs[i])
					}
				}
				if got := int(most.Load()); got != test.wantAtOnce {
					t.Errorf("%d at a time; want %d", got, test.wantAtOnce)
				}
			})
		})
	}
}

// It returns when the last has ended, whichever goroutine has that one.
func TestForEachWaits(t *testing.T) {
	t.Parallel()
	for _, first := range []time.Duration{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			parallel.ForEach(2, 2, func(i int) error {
				time.Sleep([]time.Duration{first, 2}[i] * time.Second)
				return nil
			})
			if took := time.Since(began); took != max(first, 2)*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// A panic in one call is its error, and the others go on.
func TestForEachRecovers(t *testing.T) {
	t.Parallel()
	var done atomic.Int64
	errs := parallel.ForEach(20, 4, func(i int) error {
		if i%5 == 0 {
			panic("a bug")
		}
		done.Add(1)
		return nil
	})
	var panics int
	for _, err := range errs {
		if p, ok := errors.AsType[*parallel.PanicError](err); ok && p.Error() == "panic: a bug" {
			panics++
		}
	}
	if diff := cmp.Diff([]int{16, 4}, []int{int(done.Load()), panics}); diff != "" {
		t.Errorf("done, panics (-want +got):\n%s", diff)
	}
}

func TestRecover(t *testing.T) {
	t.Parallel()
	failing := func() (err error) {
		defer parallel.Recover(&err)
		panic("a bug")
	}
	p, ok := errors.AsType[*parallel.PanicError](failing())
	if !ok || p.Value != "a bug" || !strings.Contains(string(p.Stack), "TestRecover") {
		t.Errorf("error = %v; want the panic and its stack", p)
	}
	kept := errors.New("kept")
	fine := func() (err error) {
		defer parallel.Recover(&err)
		return kept
	}
	if err := fine(); err != kept {
		t.Errorf("error = %v; want %v", err, kept)
	}
}
