package scripts_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ci-callback/ci-callback/internal/testprogram"
	"github.com/ci-callback/ci-callback/internal/testsize"
)

// goVariables are where go keeps what it has built and fetched, asked once for all tests.
var goVariables = sync.OnceValues(func() ([]string, error) {
	names := []string{"GOCACHE", "GOMODCACHE", "GOPATH", "GOPROXY", "GOSUMDB", "GOTOOLCHAIN"}
	said, err := exec.Command("go", append([]string{"env"}, names...)...).Output()
	if err != nil {
		return nil, err
	}
	values := strings.Split(string(said), "\n")
	for i, name := range names {
		names[i] = name + "=" + values[i]
	}
	return names, nil
})

// goEnvironment is the least that go and git need, with this machine's caches and none of
// the developer's settings.
func goEnvironment(t *testing.T, extra ...string) []string {
	t.Helper()
	need(t, "go")
	variables, err := goVariables()
	if err != nil {
		t.Fatal(err)
	}
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "GOENV=off",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull,
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com",
	}
	return slices.Concat(env, variables, extra)
}

// quickGo returns an environment in which `go build` writes its linker flags in the place
// of an executable, and the zip holds them: enough for what the scripts are asked about
// versions and states, and a second less a build. At full size it is the environment as
// it is.
func quickGo(t *testing.T, env []string) []string {
	t.Helper()
	if testsize.Full() {
		return env
	}
	bin := t.TempDir()
	write(t, filepath.Join(bin, "go"), fmt.Sprintf(quickGoScript, need(t, "go")), 0o755)
	return append(env, "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "ZIP="+testprogram.Path(t, buildZip))
}

const quickGoScript = `#!/bin/sh
case $1 in
build)
	while [ $# -gt 0 ]; do
		case $1 in
		-ldflags) flags=$2 ;;
		-o) out=$2 ;;
		esac
		shift
	done
	printf '%%s\n' "$flags" >"$out"
	;;
run)
	shift 2
	exec "$ZIP" "$@"
	;;
*) exec %q "$@" ;;
esac
`

// The programs of this project that the scripts start.
var (
	buildZip    = testprogram.New("./zip")
	buildDoctor = testprogram.New("./doctor")
)

func TestMain(m *testing.M) { testprogram.Main(m) }

// TestBuildIsTheSameWhereverItIsBuilt builds the function twice at full size, else a
// stand-in of a few lines.
func TestBuildIsTheSameWhereverItIsBuilt(t *testing.T) {
	t.Parallel()
	sh := need(t, "sh")
	const version = "v0.0.1-same-everywhere+test.build"

	plain := standIn(t)
	if testsize.Full() {
		plain = filepath.Join(t.TempDir(), "a")
		copyInto(t, plain, "go.mod", "go.sum", "function", "pkg", "internal", "scripts/build.sh", "scripts/zip")
	}
	odd := filepath.Join(t.TempDir(), "some", "folder with spaces", "deeper")
	if err := os.CopyFS(odd, os.DirFS(plain)); err != nil { // not from the checkout again, which someone may be editing
		t.Fatal(err)
	}

	run(t, odd, goEnvironment(t), need(t, "go"), "mod", "vendor").expect(t, 0) // which git would not know of

	decoy := t.TempDir() // where CDPATH would lead a careless cd
	if err := os.Mkdir(filepath.Join(decoy, "scripts"), 0o755); err != nil {
		t.Fatal(err)
	}
	first := run(t, plain, goEnvironment(t, "VERSION="+version, "CDPATH="+decoy), sh, "scripts/build.sh")
	first.expect(t, 0, "version  "+version)

	// Another folder, another umask, and everything set that a developer may have set for
	// other work.
	settings := filepath.Join(t.TempDir(), "go-env")
	write(t, settings, "GOFLAGS=-tags=from_go_env\nGOAMD64=v2\n", 0o644)
	second := run(t, t.TempDir(), goEnvironment(t, "VERSION="+version,
		"GOFLAGS=-tags=debug -gcflags=all=-N -ldflags=-X=main.version=wrong", "GOENV="+settings, "GOWORK=/nowhere/go.work",
		"GOOS=darwin", "GOARCH=arm64", "GOAMD64=v3", "CGO_ENABLED=1", "GO111MODULE=off", "GOFIPS140=latest", "TZ=Asia/Shanghai", "LC_ALL=C"),
		sh, "-c", `umask 077; exec sh "$0"`, filepath.Join(odd, "scripts", "build.sh"))
	second.expect(t, 0)

	packed := read(t, filepath.Join(plain, "dist", "ci-callback.zip"))
	if !bytes.Equal(packed, read(t, filepath.Join(odd, "dist", "ci-callback.zip"))) {
		t.Error("the two zips differ")
	}
	first.expect(t, 0, fmt.Sprintf("dist/ci-callback.zip  %d bytes  sha256 %x", len(packed), sha256.Sum256(packed)))

	for _, dir := range []string{plain, odd} {
		info, err := os.Stat(filepath.Join(dir, "dist", "function", "main"))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != 0o755 {
			t.Errorf("%s has mode %v, want 0755", info.Name(), info.Mode())
		}
	}

	executable := unpack(t, packed)
	if !bytes.Equal(executable, read(t, filepath.Join(plain, "dist", "function", "main"))) {
		t.Error("the zip and the folder hold different executables")
	}
	checkExecutable(t, executable)
	for text, want := range map[string]bool{version: true, plain: false, os.Getenv("HOME") + "/": false} {
		if bytes.Contains(executable, []byte(text)) != want {
			t.Errorf("the executable holds %q: %v, want %v", text, !want, want)
		}
	}
}

// unpack returns the one file that the package may hold.
func unpack(t *testing.T, packed []byte) []byte {
	t.Helper()
	archive, err := zip.NewReader(bytes.NewReader(packed), int64(len(packed)))
	if err != nil {
		t.Fatal(err)
	}
	if len(archive.File) != 1 {
		t.Fatalf("the zip holds %d entries, want one", len(archive.File))
	}
	entry := archive.File[0]
	if entry.Name != "main" || entry.Mode() != 0o755 {
		t.Errorf("the zip's entry is %s with mode %v, want main with 0755", entry.Name, entry.Mode())
	}
	reader, err := entry.Open()
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// checkExecutable holds what the Go1 runtime's machine (x86-64, an old glibc) must be
// able to start: an executable that asks it for no library and no loader.
func checkExecutable(t *testing.T, content []byte) {
	t.Helper()
	file, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	if file.Class != elf.ELFCLASS64 || file.Machine != elf.EM_X86_64 || file.Type != elf.ET_EXEC {
		t.Errorf("the executable is %v %v %v, want a 64-bit x86-64 executable", file.Class, file.Machine, file.Type)
	}
	for _, segment := range file.Progs {
		if segment.Type == elf.PT_INTERP || segment.Type == elf.PT_DYNAMIC {
			t.Errorf("the executable has a %v segment: it is not static", segment.Type)
		}
	}
	for _, section := range []string{".interp", ".dynamic", ".symtab", ".debug_info", ".note.go.buildid"} {
		if found := file.Section(section); found != nil && found.Size > 0 {
			t.Errorf("the executable has a section %s", section)
		}
	}
}

// standIn is a project of the same layout whose function is a few lines, to see what
// build.sh does in every state.
func standIn(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	copyInto(t, dir, "scripts/build.sh", "scripts/zip/main.go")
	write(t, filepath.Join(dir, "go.mod"), "module "+module+"\n\ngo 1.26\n", 0o644)
	write(t, filepath.Join(dir, "function", "main.go"), "package main\n\nvar version = \"none\"\n\nfunc main() { println(version) }\n", 0o644)
	write(t, filepath.Join(dir, "pkg", "doc.go"), "package pkg\n", 0o644)
	write(t, filepath.Join(dir, ".gitignore"), "/dist/\n", 0o644)
	return dir
}

func TestBuildTakesTheVersionFromGit(t *testing.T) {
	sh, git := need(t, "sh"), need(t, "git")
	env := quickGo(t, goEnvironment(t)) // writes a program: before anything else may fork (notingToolbox says why)
	t.Parallel()
	dir := standIn(t)
	do := func(args ...string) {
		t.Helper()
		run(t, dir, env, git, args...).expect(t, 0)
	}
	do("init", "--quiet")

	// One checkout, taken from state to state.
	for _, state := range []struct {
		name    string
		enter   func()
		version string
	}{
		{"commit without a tag", func() { do("add", "."); do("commit", "--quiet", "-m", "first") }, `[0-9a-f]{12}`},
		{"short ids asked for", func() { do("config", "core.abbrev", "7") }, `[0-9a-f]{12}`},
		{"light tag", func() { do("tag", "v1.2.3") }, `v1\.2\.3`},
		{"after the tag", func() { do("commit", "--quiet", "--allow-empty", "-m", "second") }, `v1\.2\.3-1-g[0-9a-f]{12}`},
		{"note beside the code", func() { write(t, filepath.Join(dir, "notes.txt"), "x", 0o644) }, `v1\.2\.3-1-g[0-9a-f]{12}`},
		{"ignored file in the code", func() {
			write(t, filepath.Join(dir, ".git", "info", "exclude"), "ignored.*\n", 0o644)
			write(t, filepath.Join(dir, "function", "ignored.go"), "package main\n", 0o644)
		}, `v1\.2\.3-1-g[0-9a-f]{12}-dirty`},
		{"ignored file beside the code", func() {
			rename(t, filepath.Join(dir, "function", "ignored.go"), filepath.Join(dir, "function", "ignored.txt"))
		}, `v1\.2\.3-1-g[0-9a-f]{12}`},
		{"new file in a package of the function's own", func() { write(t, filepath.Join(dir, "internal", "new", "new.go"), "package new\n", 0o644) }, `v1\.2\.3-1-g[0-9a-f]{12}-dirty`},
		{"new file in the code", func() {
			rename(t, filepath.Join(dir, "internal", "new", "new.go"), filepath.Join(dir, "internal", "new", "ignored.txt"))
			write(t, filepath.Join(dir, "function", "new.go"), "package main\n", 0o644)
		}, `v1\.2\.3-1-g[0-9a-f]{12}-dirty`},
		{"changed file", func() {
			do("add", "function/new.go")
			do("commit", "--quiet", "-m", "third")
			write(t, filepath.Join(dir, "function", "new.go"), "package main\n\n// changed\n", 0o644)
		}, `v1\.2\.3-2-g[0-9a-f]{12}-dirty`},
	} {
		state.enter()
		built := run(t, dir, env, sh, "scripts/build.sh")
		built.expect(t, 0)
		version := regexp.MustCompile(`(?m)^version  (.*)$`).FindStringSubmatch(built.stdout)
		if version == nil || !regexp.MustCompile(`^`+state.version+`$`).MatchString(version[1]) {
			t.Errorf("%s: want version %s, got:\n%s", state.name, state.version, built.stdout)
			continue
		}
		if !bytes.Contains(unpack(t, read(t, filepath.Join(dir, "dist", "ci-callback.zip"))), []byte(version[1])) {
			t.Errorf("%s: the executable does not hold version %s", state.name, version[1])
		}
	}
	run(t, dir, append(env, "GIT_DIR="+t.TempDir()), sh, "scripts/build.sh").expect(t, 0, "version  v1.2.3-2-g")
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// TestBuildOfAShallowClone has no tag within reach: its commit is the version.
func TestBuildOfAShallowClone(t *testing.T) {
	sh, git := need(t, "sh"), need(t, "git")
	env := quickGo(t, goEnvironment(t)) // writes a program: before anything else may fork
	t.Parallel()
	dir := standIn(t)
	for _, args := range [][]string{
		{"init", "--quiet"}, {"add", "."}, {"commit", "--quiet", "-m", "first"}, {"tag", "v1.2.3"},
		{"commit", "--quiet", "--allow-empty", "-m", "second"}, {"clone", "--quiet", "--depth", "1", "file://" + dir, dir + "/shallow"},
	} {
		run(t, dir, env, git, args...).expect(t, 0)
	}
	built := run(t, dir+"/shallow", env, sh, "scripts/build.sh")
	built.expect(t, 0)
	commit := strings.TrimSpace(run(t, dir, env, git, "rev-parse", "--short=12", "HEAD").stdout)
	built.expect(t, 0, "version  "+commit+"\n")
}

func TestBuildRefuses(t *testing.T) {
	t.Parallel()
	sh, git := need(t, "sh"), need(t, "git")
	checkout := func(t *testing.T) string {
		dir := standIn(t)
		for _, args := range [][]string{{"init", "--quiet"}, {"add", "."}, {"commit", "--quiet", "-m", "first"}} {
			run(t, dir, goEnvironment(t), git, args...).expect(t, 0)
		}
		return dir
	}
	tests := map[string]struct {
		project func(*testing.T) string
		env     func(*testing.T) []string
		args    []string
		status  int
		says    []string
	}{
		"an_argument": {project: standIn, args: []string{"--fast"}, status: 2, says: []string{"usage: scripts/build.sh"}},
		"no_checkout": {project: standIn, says: []string{"is not a git checkout of its own", "VERSION=v1.2.3 scripts/build.sh"}},
		"checkout_of_another_user": {project: checkout, env: func(*testing.T) []string { return []string{"GIT_TEST_ASSUME_DIFFERENT_OWNER=1"} },
			says: []string{"dubious ownership", "VERSION="}},
		"no_commit": {project: func(t *testing.T) string {
			dir := standIn(t)
			run(t, dir, goEnvironment(t), git, "init", "-q")
			return dir
		}, says: []string{"git cannot describe", "VERSION="}},
		"version_with_quotes": {project: standIn, env: func(*testing.T) []string { return []string{"VERSION=v1' -X main.x=1"} }, says: []string{"may hold only letters"}},
		"tag_with_quotes": {project: func(t *testing.T) string {
			dir := checkout(t)
			run(t, dir, goEnvironment(t), git, "tag", "it's").expect(t, 0)
			return dir
		}, says: []string{"may hold only letters"}},
		"some_other_checkout_around_it": {project: func(t *testing.T) string {
			outer := checkout(t)
			inner := filepath.Join(outer, "vendored")
			if err := os.Rename(standIn(t), inner); err != nil {
				t.Fatal(err)
			}
			return inner
		}, says: []string{"is not a git checkout of its own"}},
		"no_go":  {project: checkout, env: func(t *testing.T) []string { return []string{"PATH=" + toolbox(t, "sh", "dirname", "git")} }, says: []string{"go is not on PATH", "https://go.dev/doc/install"}},
		"no_git": {project: checkout, env: func(t *testing.T) []string { return []string{"PATH=" + toolbox(t, "sh", "dirname", "go")} }, says: []string{"git is not on PATH", "VERSION="}},
		"an_experiment_in_go_env": {project: checkout, env: func(t *testing.T) []string {
			settings := filepath.Join(t.TempDir(), "go-env")
			write(t, settings, "GOEXPERIMENT=nogreenteagc\n", 0o644)
			return []string{"GOENV=" + settings}
		}, says: []string{"go env -u GOEXPERIMENT"}},
		"code_that_does_not_compile": {project: func(t *testing.T) string {
			dir := checkout(t)
			write(t, filepath.Join(dir, "function", "broken.go"), "package main\n\nfunc {\n", 0o644)
			return dir
		}, says: []string{"broken.go"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := test.project(t)
			write(t, filepath.Join(dir, "dist", "ci-callback.zip"), "an earlier build", 0o644)
			env := goEnvironment(t)
			if test.env != nil {
				env = append(env, test.env(t)...)
			}
			refused := run(t, dir, env, sh, append([]string{"scripts/build.sh"}, test.args...)...)
			refused.expect(t, max(test.status, 1), test.says...)
			if strings.Contains(refused.stdout, "zip  ") {
				t.Error("it claims to have built a zip")
			}
		})
	}
}

func TestBuildThatFailsLeavesNoZip(t *testing.T) {
	t.Parallel()
	sh := need(t, "sh")
	dir := standIn(t)
	env := goEnvironment(t, "VERSION=v1")
	run(t, dir, env, sh, "scripts/build.sh").expect(t, 0)
	write(t, filepath.Join(dir, "function", "main.go"), "package main\n", 0o644)
	run(t, dir, env, sh, "scripts/build.sh").expect(t, 1, "main")
	for _, path := range []string{"dist/ci-callback.zip", "dist/function/main"} {
		if _, err := os.Stat(filepath.Join(dir, path)); err == nil {
			t.Errorf("%s of the build before is still there", path)
		}
	}
}
