package board

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"net/http"
	"path"
	"strings"
)

//go:embed static/*
var staticFiles embed.FS

//go:embed templates/*.html
var templateFiles embed.FS

// assets are the style sheet, the script and the icon, each under a name that holds its
// hash, so that a browser may keep it for ever.
type assets struct {
	byName map[string]string // "board.css" → "/static/board-<hash>.css"
	byPath map[string]asset
}

type asset struct {
	contentType string
	body        []byte
}

func loadAssets() assets {
	a := assets{byName: map[string]string{}, byPath: map[string]asset{}}
	for name, contentType := range map[string]string{
		"board.css": "text/css; charset=utf-8", "board.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml",
	} {
		body, _ := staticFiles.ReadFile("static/" + name) // embedded: it is there
		sum := sha256.Sum256(body)
		ext := path.Ext(name)
		file := strings.TrimSuffix(name, ext) + "-" + hex.EncodeToString(sum[:6]) + ext
		a.byName[name] = "/static/" + file
		a.byPath[file] = asset{contentType, body}
	}
	return a
}

func (a assets) path(name string) string { return a.byName[name] }

func (a assets) serve(w http.ResponseWriter, r *http.Request) {
	file, ok := a.byPath[r.PathValue("file")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", file.contentType)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	w.Write(file.body)
}

// pages are the templates, by the name of their file.
type pages map[string]*template.Template

func loadPages(a assets) (pages, error) {
	entries, err := templateFiles.ReadDir("templates")
	if err != nil {
		return nil, err
	}
	loaded := pages{}
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".html")
		if name == "layout" || name == "parts" {
			continue
		}
		t, err := template.New("layout.html").Funcs(functions(a)).
			ParseFS(templateFiles, "templates/layout.html", "templates/parts.html", "templates/"+e.Name())
		if err != nil {
			return nil, err
		}
		loaded[name] = t
	}
	return loaded, nil
}
