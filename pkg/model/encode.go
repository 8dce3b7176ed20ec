package model

import (
	"fmt"
	"strconv"
	"unicode/utf8"
)

// Encode returns the record's bytes: one line of JSON and a newline, with <, > and & as
// themselves. Records that say the same have the same bytes. Detail must be as [Decode]
// and [ParseRecord] return it; it is not looked at again. A record of a later format is
// an error, because fields of it would be lost.
//
// It is written by hand, and into a buffer of the right size, because a record can hold
// 20,000 keys of 850 bytes, and encoding/json would need several times as much. A test
// asserts that both write the same.
func (r *Record) Encode() ([]byte, error) {
	if r.LaterFormat() {
		return nil, fmt.Errorf("encode record of %s %s: it has version %d, and only up to %d is known", r.Kind, r.ID, r.Version, Version)
	}
	out := make([]byte, 0, r.encodedSize())
	out = append(out, `{"version":`...)
	out = strconv.AppendInt(out, int64(r.Version), 10)
	for _, field := range r.texts() {
		out = appendField(out, field.name, field.value)
	}
	out = r.appendObjects(out)
	out = appendField(out, "userData", r.UserData)
	out = append(out, `,"detail":`...)
	out = append(out, r.Detail...)
	return append(out, "}\n"...), nil
}

// textField is a field of a record that is a text.
type textField struct{ name, value string }

// texts returns the fields between the version and the input, in their order.
func (r *Record) texts() [15]textField {
	return [...]textField{
		{"kind", string(r.Kind)}, {"id", r.ID}, {"source", r.Source}, {"event", r.Event}, {"state", r.State},
		{"verdict", string(r.Verdict)}, {"label", r.Label},
		{"code", r.Code}, {"message", r.Message}, {"tag", r.Tag}, {"subTag", r.SubTag}, {"queueId", r.QueueID},
		{"creationTime", r.CreationTime}, {"startTime", r.StartTime}, {"endTime", r.EndTime},
	}
}

// appendObjects appends the input, the outputs and the workflow.
func (r *Record) appendObjects(out []byte) []byte {
	if in := r.Input; in != nil {
		out = append(out, `,"input":{`...)
		out = appendObject(out, in.Object)
		out = append(appendField(out, "url", in.URL), '}')
	}
	if len(r.Outputs) > 0 {
		out = append(out, `,"outputs":[`...)
		for i, output := range r.Outputs {
			if i > 0 {
				out = append(out, ',')
			}
			out = appendObject(append(out, '{'), output.Object)
			out = append(appendField(out, "md5", output.MD5), '}')
		}
		out = append(out, ']')
	}
	if w := r.Workflow; w != nil {
		out = append(out, `,"workflow":{`...)
		out = appendField(out, "runId", w.RunID)
		out = appendField(out, "workflowId", w.WorkflowID)
		out = appendField(out, "workflowName", w.WorkflowName)
		out = append(appendField(out, "name", w.Name), '}')
	}
	return out
}

// encodedSize returns how long the record is at most, where the workflow is as short as
// they are.
func (r *Record) encodedSize() int {
	const each = len(`{"bucket":"","region":"","object":"","md5":"","url":""},`)
	size := 1024 + len(r.Detail) + len(r.Outputs)*each + jsonSize(r.UserData)
	for _, field := range r.texts() {
		size += jsonSize(field.value)
	}
	if r.Input != nil {
		size += each + jsonSize(r.Input.Bucket) + jsonSize(r.Input.Region) + jsonSize(r.Input.Key) + jsonSize(r.Input.URL)
	}
	for _, o := range r.Outputs {
		size += jsonSize(o.Bucket) + jsonSize(o.Region) + jsonSize(o.Key) + jsonSize(o.MD5)
	}
	return size
}

func appendObject(out []byte, o Object) []byte {
	out = appendField(out, "bucket", o.Bucket)
	out = appendField(out, "region", o.Region)
	return appendField(out, "object", o.Key)
}

// appendField appends a member of an object, unless its value is empty.
func appendField(out []byte, name, value string) []byte {
	if value == "" {
		return out
	}
	if out[len(out)-1] != '{' {
		out = append(out, ',')
	}
	out = append(append(append(out, '"'), name...), `":`...)
	return appendString(out, value)
}

// appendString appends a JSON string, with the escapes that encoding/json uses, but <, >
// and & as themselves.
func appendString(out []byte, s string) []byte {
	const hex = "0123456789abcdef"
	out = append(out, '"')
	written := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		r, size := rune(c), 1
		if c >= utf8.RuneSelf {
			if r, size = utf8.DecodeRuneInString(s[i:]); !isEscaped(r, size) {
				i += size
				continue
			}
		}
		out = append(out, s[written:i]...)
		switch c {
		case '"', '\\':
			out = append(out, '\\', c)
		case '\b', '\f', '\n', '\r', '\t':
			out = append(out, '\\', "btn.fr"[c-'\b'])
		default:
			out = append(out, '\\', 'u', hex[r>>12&0xf], hex[r>>8&0xf], hex[r>>4&0xf], hex[r&0xf])
		}
		i += size
		written = i
	}
	return append(append(out, s[written:]...), '"')
}

// isEscaped reports whether a character beyond ASCII is escaped: two that some readers of
// JSON lines take for line ends, and U+FFFD where there is no character at all.
func isEscaped(r rune, size int) bool {
	return r == '\u2028' || r == '\u2029' || r == utf8.RuneError && size == 1
}

// jsonSize returns how long a text is at most as a JSON string, without the quotes.
func jsonSize(s string) int {
	size := len(s)
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			size++
		case c < ' ':
			size += len(`\u0000`) - 1
		case c == 0xE2: // U+2028 and U+2029 begin with it
			size += len(`\u2028`) - len("\u2028")
		}
	}
	return size
}
