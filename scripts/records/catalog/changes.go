package catalog

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Change is one difference between two versions of a record.
type Change struct {
	Path string `json:"path"` // such as detail.Operation.Output.Object, or outputs[0].md5
	Was  string `json:"was"`  // empty where the version has no such value
	Now  string `json:"now"`
}

// maxChanges bounds how many differences are named.
const maxChanges = 500

// Changes returns what differs between two versions of a record, ordered by path, and
// how many more there are than are named. Times and names of the record itself come
// before its detail.
func Changes(older, newer []byte) (changes []Change, more int) {
	was, now := flatten(older), flatten(newer)
	paths := slices.Collect(maps.Keys(was))
	for path := range now {
		if _, ok := was[path]; !ok {
			paths = append(paths, path)
		}
	}
	slices.SortFunc(paths, comparePaths)
	for _, path := range paths {
		if was[path] == now[path] {
			continue
		}
		if len(changes) == maxChanges {
			more++
			continue
		}
		changes = append(changes, Change{Path: path, Was: was[path], Now: now[path]})
	}
	return changes, more
}

// firstPaths are the fields whose change says most. They come first.
var firstPaths = []string{"state", "verdict", "code", "message", "endTime"}

// comparePaths orders the record's own fields before those of its detail, and those that
// say most before the others.
func comparePaths(a, b string) int {
	rank := func(path string) int {
		switch i := slices.Index(firstPaths, path); {
		case i >= 0:
			return i
		case isInDetail(path):
			return len(firstPaths) + 1
		}
		return len(firstPaths)
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a, b))
}

func isInDetail(path string) bool { return strings.HasPrefix(path, "detail.") || path == "detail" }

// flatten returns each leaf of a JSON text by its path. What is no JSON is one leaf
// without a path.
func flatten(body []byte) map[string]string {
	leaves := map[string]string{}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return map[string]string{"": cut(string(body), 1000)}
	}
	addLeaves(leaves, "", value)
	return leaves
}

func addLeaves(leaves map[string]string, path string, value any) {
	switch v := value.(type) {
	case map[string]any:
		for name, child := range v {
			addLeaves(leaves, strings.TrimPrefix(path+"."+name, "."), child)
		}
	case []any:
		for i, child := range v {
			addLeaves(leaves, fmt.Sprintf("%s[%d]", path, i), child)
		}
	default:
		leaves[path] = fmt.Sprint(v)
	}
}
