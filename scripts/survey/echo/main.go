// Command echo is an SCF function that shows the trigger event it gets, for
// scripts/survey. Deploy it for the time of a survey, as an event function (runtime Go1,
// handler main, time limit 3 seconds, an execution role without any policy) with a
// function URL (public access, open), and delete it afterwards:
//
//	CGO_ENABLED=0 GOOS=linux GOARCH=amd64 go build -o main ./scripts/survey/echo && zip echo.zip main
//
// It needs no permission. It tells whoever asks the event, which holds the asker's own
// headers, and of the function's variables and credentials only names and whether there
// are any. What SCF answers where a function fails is asked for with ?do=error, panic,
// exit or timeout.
package main

import "github.com/ci-callback/ci-callback/scripts/survey/internal/echo"

func main() { echo.Start() }
