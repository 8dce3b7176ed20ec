package config_test

import (
	"errors"
	"fmt"

	"github.com/ci-callback/ci-callback/pkg/config"
)

// All that is wrong is reported at once, each with the variable that it is about.
func ExampleLoad() {
	_, err := config.Load(config.Environment{
		Invocation: map[string]string{
			"RECORD_BUCKET": "records", "TAG_MD5": "maybe",
			"TENCENTCLOUD_SECRETID": "id", "TENCENTCLOUD_SECRETKEY": "key",
		},
		Region: "ap-guangzhou",
	})
	problems, _ := errors.AsType[config.Errors](err)
	for _, problem := range problems {
		fmt.Println(problem.Variable)
	}
	// Output:
	// RECORD_BUCKET
	// TAG_MD5
}

// Every setting, as a test of deploy files wants them.
func ExampleVariables() {
	for _, variable := range config.Variables()[:3] {
		fmt.Printf("%s %q\n", variable.Name, variable.Default)
	}
	// Output:
	// RECORD_BUCKET ""
	// RECORD_REGION ""
	// RECORD_PREFIX "ci/"
}
