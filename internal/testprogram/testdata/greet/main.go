// Command greet prints a name that it is linked with, and its arguments.
package main

import (
	"fmt"
	"os"
	"strings"
)

var name = "nobody"

func main() { fmt.Print(strings.Join(append([]string{name}, os.Args[1:]...), " ")) }
