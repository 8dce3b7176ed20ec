package cilocal

import (
	"bytes"
	"encoding/json"
	"testing"
)

// FuzzElement looks for a body that makes the server panic, that is not the same once it
// was written and read again, or whose JSON is none.
func FuzzElement(f *testing.F) {
	for _, seed := range []string{
		"<Request><Tag>Transcode</Tag><Input><Object>a</Object></Input></Request>", "<a/>", "<a>x<b>y</b>z</a>", "<a><b/><b>1</b></a>",
		"<a>&lt;&#x4e2d;</a>", "<a x='1'/>", "<x:a xmlns:x='u'/>", "<a><![CDATA[<b>]]></a>", "<\u540d>1</\u540d>", "<a>\u2028</a>", "</a>", "<a><a>",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		root, err := parseElement(body)
		if err != nil {
			return
		}
		var inner, again bytes.Buffer
		root.appendInner(&inner)
		reread, err := parseElement([]byte("<" + root.name + ">" + inner.String() + "</" + root.name + ">"))
		if err != nil {
			t.Fatalf("%q is written as %q: %v", body, &inner, err)
		}
		if reread.appendInner(&again); again.String() != inner.String() {
			t.Errorf("%q, and read again %q", &inner, &again)
		}
		var b bytes.Buffer
		root.appendJSON(&b)
		if !json.Valid(b.Bytes()) {
			t.Errorf("%q has the JSON %q", body, &b)
		}
	})
}
