package trigger_test

import (
	"fmt"

	"github.com/ci-callback/ci-callback/pkg/trigger"
)

// A function URL hands over a request, which is answered in the form that the platform demands.
func ExampleParse() {
	event, err := trigger.Parse([]byte(`{"httpMethod":"POST","path":"/","queryString":{"token":"secret"},"headers":{},"body":"<Response/>"}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	body, err := event.Request.Body()
	fmt.Println(event.Request.Method, event.Request.Tokens, string(body), err)

	response, err := trigger.JSONResponse(401, map[string]string{"error": "unauthorized"})
	if err != nil {
		fmt.Println(err)
		return
	}
	encoded, err := response.Encode()
	fmt.Println(string(encoded), err)
	// Output:
	// POST [secret] <Response/> <nil>
	// {"isBase64Encoded":false,"statusCode":401,"headers":{"Content-Type":"application/json"},"body":"{\"error\":\"unauthorized\"}"} <nil>
}
