// Package testsize tells tests how large they may be. A developer runs `go test ./...`
// many times a day and gets small forms, a minute for all of them. Before a change is
// taken, .ci/run sets CI_CALLBACK_FULL=1, and the same tests run at full size: bodies of
// 6 MB, thousands of jobs, builds of the same program in different places.
//
// It is an environment variable and not a flag, because `go test ./...` refuses a flag
// that only some of its packages define.
package testsize

import "os"

// Variable is the name of the environment variable that asks for full sizes.
const Variable = "CI_CALLBACK_FULL"

// Full reports whether tests are to run at full size: the variable is set to anything
// but "0".
func Full() bool {
	value := os.Getenv(Variable)
	return value != "" && value != "0"
}

// Pick returns full where tests are to run at full size, and small otherwise.
func Pick[T any](small, full T) T {
	if Full() {
		return full
	}
	return small
}
