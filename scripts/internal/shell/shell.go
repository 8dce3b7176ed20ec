// Package shell reads the settings of the function from the shell of whoever runs a
// program of scripts/, so that all of them take the same settings for the same.
package shell

import (
	"cmp"
	"strings"

	"github.com/ci-callback/ci-callback/pkg/config"
)

// Keys are the variables of a key. The last is set for a temporary one alone.
func Keys() []string {
	return []string{"TENCENTCLOUD_SECRETID", "TENCENTCLOUD_SECRETKEY", "TENCENTCLOUD_SESSIONTOKEN"}
}

// Environment reads NAME=value pairs as an invocation of the function would bring them,
// with the user's own key in the place of the role's.
//
// As in scripts/deploy.sh the records are where the function is, unless RECORD_REGION says
// otherwise; and where nothing says where the function is, it is where the records are.
func Environment(environ []string) config.Environment {
	e := config.Environment{Process: map[string]string{}, Invocation: map[string]string{}}
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		e.Process[name] = value
	}
	for _, name := range Keys() {
		if value := e.Process[name]; value != "" {
			e.Invocation[name] = value
		}
	}
	e.Region = cmp.Or(e.Process["FUNCTION_REGION"], e.Process["TENCENTCLOUD_REGION"], e.Process["RECORD_REGION"])
	return e
}
