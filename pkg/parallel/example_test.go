package parallel_test

import (
	"errors"
	"fmt"

	"github.com/ci-callback/ci-callback/pkg/parallel"
)

// Three things are done two at a time. One fails and one panics; the third is done all the same.
func ExampleForEach() {
	things := []func() error{
		func() error { return nil },
		func() error { return errors.New("out of reach") },
		func() error { panic("a bug") },
	}
	for i, err := range parallel.ForEach(len(things), 2, func(i int) error { return things[i]() }) {
		_, bug := errors.AsType[*parallel.PanicError](err)
		fmt.Println(i, err, bug)
	}
	// Output:
	// 0 <nil> false
	// 1 out of reach false
	// 2 panic: a bug true
}
