package config

import (
	"crypto/sha256"
	"crypto/subtle"
	"strings"
)

// MinToken is the fewest characters of a token.
const MinToken = 16

// Auth says which callbacks are let in.
type Auth struct {
	open   bool
	tokens [][sha256.Size]byte
}

// LoadAuth reads CALLBACK_TOKEN and CALLBACK_AUTH. It is apart from Load, so that a
// stranger without a token learns nothing of the other settings. Its error is an
// [*Error].
func LoadAuth(e Environment) (Auth, error) {
	settings := e.settings()
	switch settings["CALLBACK_AUTH"] {
	case "none":
		return Auth{open: true}, nil
	case "":
	default:
		return Auth{}, &Error{"CALLBACK_AUTH", "must be none, or not set"}
	}
	var a Auth
	for token := range strings.SplitSeq(settings["CALLBACK_TOKEN"], ",") {
		token = strings.TrimSpace(token)
		switch {
		case token == "":
			continue
		case len([]rune(token)) < MinToken:
			return Auth{}, &Error{"CALLBACK_TOKEN", "has a token that is too short: each needs at least 16 characters"}
		}
		a.tokens = append(a.tokens, sha256.Sum256([]byte(token)))
	}
	if len(a.tokens) == 0 {
		return Auth{}, &Error{"CALLBACK_TOKEN", "is not set: set a token of at least 16 characters, and add ?token=… to the callback URL; or set CALLBACK_AUTH=none to let everybody in"}
	}
	return a, nil
}

// Open tells whether callbacks come in without a token.
func (a Auth) Open() bool { return a.open }

// Admits tells whether any of the tokens given is right. How long it takes depends on
// how many there are, not on what is in them: hashes are compared, all of them.
func (a Auth) Admits(given []string) bool {
	admitted := 0
	for _, g := range given {
		sum := sha256.Sum256([]byte(g))
		for _, token := range a.tokens {
			admitted |= subtle.ConstantTimeCompare(sum[:], token[:])
		}
	}
	return a.open || admitted == 1
}
