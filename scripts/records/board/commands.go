package board

import (
	"strings"

	"github.com/ci-callback/ci-callback/pkg/model"
)

// command returns the command line that shows what a page shows, with flags for those
// names whose value is not empty.
func command(name string, flags ...string) string {
	words := []string{"go run ./scripts/records", name}
	for i := 0; i+1 < len(flags); i += 2 {
		if flags[i+1] != "" {
			words = append(words, "--"+flags[i], quoteShell(flags[i+1]))
		}
	}
	return strings.Join(words, " ")
}

// recordCommand returns the command line that does something with a record. Where its id
// begins with a dash, it says that no flag does.
func recordCommand(name string, kind model.Kind, id string) string {
	flag := string(kind)
	if kind == model.KindJob { // which is the first that is looked for
		flag = ""
	}
	return command(name, "kind", flag) + " " + argument(id)
}

// argument writes a word so that a shell and the command take it as it is.
func argument(word string) string {
	if strings.HasPrefix(word, "-") {
		return "-- " + quoteShell(word)
	}
	return quoteShell(word)
}

// quoteShell writes a word so that a shell takes it as it is.
func quoteShell(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:+@%=,", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
