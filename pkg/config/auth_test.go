package config_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"

	"github.com/ci-callback/ci-callback/pkg/config"
)

// Two tokens as a rotation has them.
const (
	oldToken = "old-token-0123456"
	newToken = "new-token-0123456"
)

func TestAuth(t *testing.T) {
	t.Parallel()
	const exactly16 = "0123456789abcdef"
	tests := []struct {
		name        string
		token, auth string // of the environment
		admits      []string
		refuses     []string
		open        bool
		err         string // the variable it names
	}{
		{name: "one", token: oldToken, admits: []string{oldToken}, refuses: []string{newToken, "", " " + oldToken, oldToken + " ", strings.ToUpper(oldToken), oldToken[1:], oldToken + "x"}},
		{name: "rotation", token: oldToken + "," + newToken, admits: []string{oldToken, newToken}, refuses: []string{oldToken + "," + newToken, "", ","}},
		{name: "comma_noise", token: " ,, " + oldToken + " ,\n" + newToken + ",,", admits: []string{oldToken, newToken}, refuses: []string{"", " "}},
		{name: "spaces_within", token: "a token with spaces", admits: []string{"a token with spaces"}, refuses: []string{"atokenwithspaces"}},
		{name: "sixteen", token: exactly16, admits: []string{exactly16}},
		{name: "sixteen_characters_not_bytes", token: strings.Repeat("密", 16), admits: []string{strings.Repeat("密", 16)}},
		{name: "fifteen", token: exactly16[1:], err: "CALLBACK_TOKEN"},
		{name: "fifteen_and_spaces", token: exactly16[1:] + "    ", err: "CALLBACK_TOKEN"},
		{name: "six_characters_of_18_bytes", token: strings.Repeat("密", 6), err: "CALLBACK_TOKEN"},
		{name: "one_of_two_too_short", token: oldToken + ",short-secret", err: "CALLBACK_TOKEN"},
		{name: "not_set", err: "CALLBACK_TOKEN"},
		{name: "nothing", token: "  ", err: "CALLBACK_TOKEN"},
		{name: "commas_alone", token: ",, ,", err: "CALLBACK_TOKEN"},
		{name: "open", auth: "none", admits: []string{"", "anything"}, open: true},
		{name: "open_beside_a_token", token: oldToken, auth: "none", admits: []string{"", oldToken}, open: true},
		{name: "auth_blank", token: oldToken, auth: " ", admits: []string{oldToken}, refuses: []string{""}},
		{name: "auth_blank_and_no_token", auth: " ", err: "CALLBACK_TOKEN"},
		{name: "auth_other", token: oldToken, auth: "token", err: "CALLBACK_AUTH"},
		{name: "auth_case", token: oldToken, auth: "NONE", err: "CALLBACK_AUTH"},
		// Their hashes begin, and end, with the same three bytes as that of oldToken.
		{name: "hashes_alike", token: oldToken, admits: []string{oldToken}, refuses: []string{"guess-0026239965", "guess-0011323565"}},
		{name: "auth_false", token: oldToken, auth: "false", err: "CALLBACK_AUTH"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := config.Environment{Invocation: map[string]string{"CALLBACK_TOKEN": test.token, "CALLBACK_AUTH": test.auth}}
			a, err := config.LoadAuth(e)
			if test.err != "" {
				wantVariable(t, err, test.err)
				for part := range strings.SplitSeq(test.token, ",") {
					if part = strings.TrimSpace(part); part != "" && strings.Contains(err.Error(), part) {
						t.Errorf("err = %v; shows the token", err)
					}
				}
				if a.Open() || a.Admits([]string{""}) || a.Admits([]string{test.token}) {
					t.Error("what came with the error lets somebody in")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if a.Open() != test.open {
				t.Errorf("Open = %t", a.Open())
			}
			for _, given := range test.admits {
				if !a.Admits([]string{given}) {
					t.Errorf("Admits(%q) = false", given)
				}
			}
			for _, given := range test.refuses {
				if a.Admits([]string{given}) {
					t.Errorf("Admits(%q) = true", given)
				}
			}
			if a.Admits(nil) != test.open {
				t.Errorf("Admits without a token = %t", a.Admits(nil))
			}
		})
	}
}

// Any of the tokens given may match any of those set, wherever both stand.
func TestAdmitsAnyOfSeveral(t *testing.T) {
	t.Parallel()
	set := []string{"first-token-0000", "second-token-000", "third-token-0000"}
	a, err := config.LoadAuth(config.Environment{Process: map[string]string{"CALLBACK_TOKEN": strings.Join(set, ",")}})
	if err != nil {
		t.Fatal(err)
	}
	for _, right := range set {
		for place := range 4 {
			given := slices.Insert([]string{"", "wrong-token-0000", "first-token-0001"}, place, right)
			if !a.Admits(given) {
				t.Errorf("Admits(%q) = false", given)
			}
		}
	}
	if given := slices.Repeat(set, 2); !a.Admits(given) {
		t.Errorf("Admits(%q) = false", given)
	}
	if given := []string{"", "wrong-token-0000", strings.Join(set, ",")}; a.Admits(given) {
		t.Errorf("Admits(%q) = true", given)
	}
}

func TestAuthOfTheInvocation(t *testing.T) {
	t.Parallel()
	a, err := config.LoadAuth(config.Environment{
		Process:    map[string]string{"CALLBACK_TOKEN": oldToken},
		Invocation: map[string]string{"CALLBACK_TOKEN": newToken},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := []bool{a.Admits([]string{oldToken}), a.Admits([]string{newToken})}; got[0] || !got[1] {
		t.Errorf("admits the old token %t, the new one %t", got[0], got[1])
	}
}

func TestAuthAllThatIsWrong(t *testing.T) {
	t.Parallel()
	_, err := config.LoadAuth(config.Environment{Process: map[string]string{"CALLBACK_TOKEN": "short", "CALLBACK_AUTH": "basic"}})
	wantVariables(t, err, "CALLBACK_TOKEN", "CALLBACK_AUTH")
	_, err = config.LoadAuth(config.Environment{Process: map[string]string{"CALLBACK_TOKEN": "short,shorter,"}})
	wantVariables(t, err, "CALLBACK_TOKEN")
}

// Nothing in Admits decides before all is compared, and subtle.ConstantTimeCompare alone
// compares. Timing cannot be tested, the shape can.
func TestAdmitsTakesConstantTime(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "auth.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, declaration := range file.Decls {
		f, ok := declaration.(*ast.FuncDecl)
		if !ok || f.Name.Name != "Admits" {
			continue
		}
		compares := false
		for n := range ast.Preorder(f.Body) {
			switch n := n.(type) {
			case *ast.IfStmt, *ast.BranchStmt, *ast.SwitchStmt:
				t.Errorf("Admits has a %T", n)
			case *ast.ReturnStmt:
				if n != f.Body.List[len(f.Body.List)-1] {
					t.Error("Admits returns early")
				}
			case *ast.SelectorExpr:
				compares = compares || n.Sel.Name == "ConstantTimeCompare"
			}
		}
		if !compares {
			t.Error("Admits does not use subtle.ConstantTimeCompare")
		}
		return
	}
	t.Error("there is no Admits")
}
