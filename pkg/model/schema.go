package model

import _ "embed"

// Schema is the JSON Schema (2020-12) of an encoded [Record].
//
//go:embed schema.json
var Schema string
