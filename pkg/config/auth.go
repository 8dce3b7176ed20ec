package config

import (
	"crypto/sha256"
	"crypto/subtle"
	"unicode/utf8"
)

// MinToken is how many characters a token has at the least.
const MinToken = 16

// Auth says which callbacks are let in. The zero Auth lets in none.
type Auth struct {
	open   bool
	tokens [][sha256.Size]byte
}

// LoadAuth reads CALLBACK_TOKEN and CALLBACK_AUTH. It is apart from Load, so that a
// stranger without a token learns nothing of the other settings. Its error is [Errors].
func LoadAuth(e Environment) (Auth, error) {
	r := &reader{environment: e}
	auth := r.value("CALLBACK_AUTH")
	if auth == "none" {
		return Auth{open: true}, nil
	}
	var a Auth
	for _, token := range splitList(r.value("CALLBACK_TOKEN")) {
		switch {
		case token == "":
			continue
		case utf8.RuneCountInString(token) < MinToken && !r.isWrong("CALLBACK_TOKEN"):
			r.complain("CALLBACK_TOKEN", "has a token that is too short: each needs at least 16 characters")
		}
		a.tokens = append(a.tokens, sha256.Sum256([]byte(token)))
	}
	if len(a.tokens) == 0 {
		r.complain("CALLBACK_TOKEN", "is not set: set a token of at least 16 characters, and add ?token=… to the callback URL; or set CALLBACK_AUTH=none to let everybody in")
	}
	if auth != "" {
		r.complain("CALLBACK_AUTH", "must be none, or not set")
	}
	if err := r.err(); err != nil {
		return Auth{}, err
	}
	return a, nil
}

// Open reports whether callbacks come in without a token.
func (a Auth) Open() bool { return a.open }

// Admits reports whether any of the tokens given is right. How long it takes depends on
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
