package catalog

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"
	"time"
)

// A Row is a record in the output of list: the JSON and the CSV of the command line and
// of the board, whose names stay as they are.
type Row struct {
	State    string   `json:"state"`
	Kind     string   `json:"kind"`
	ID       string   `json:"id"`
	Type     string   `json:"type,omitempty"`
	Input    string   `json:"input,omitempty"`
	Recorded string   `json:"recorded"` // RFC 3339, UTC
	Created  string   `json:"created,omitempty"`
	Started  string   `json:"started,omitempty"`
	Ended    string   `json:"ended,omitempty"`
	Took     *float64 `json:"tookSeconds,omitempty"` // nil where the record does not say
	Code     string   `json:"code,omitempty"`
	Message  string   `json:"message,omitempty"`
	Verdict  string   `json:"verdict,omitempty"`
	Label    string   `json:"label,omitempty"`
	Queue    string   `json:"queue,omitempty"`
	Source   string   `json:"source,omitempty"`
	Key      string   `json:"key"`
	Bytes    int64    `json:"bytes"`
	Problem  string   `json:"problem,omitempty"`
}

// RowOf returns the row of a summary.
func RowOf(s *Summary) Row {
	var took *float64
	if d, ok := s.Took(); ok {
		took = new(d.Seconds())
	}
	return Row{
		State: s.State, Kind: string(s.Kind), ID: s.ID, Type: s.Type, Input: s.Input,
		Recorded: utc(s.Recorded), Created: utc(s.Created), Started: utc(s.Started), Ended: utc(s.Ended), Took: took,
		Code: s.Code, Message: s.Message, Verdict: s.Verdict, Label: s.Label, Queue: s.Queue, Source: s.Source,
		Key: s.Key, Bytes: s.Size, Problem: s.Problem,
	}
}

func utc(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// WriteCSV writes rows with a header. A cell that a spreadsheet would take for a formula
// gets an apostrophe in front: what is in it was written by strangers.
func WriteCSV(w io.Writer, rows []Row) error { return WriteCells(w, Cells(rows)) }

// Cells returns the cells of rows, under a header.
func Cells(rows []Row) [][]string {
	table := [][]string{{"state", "kind", "id", "type", "input", "recorded", "created", "started", "ended", "tookSeconds",
		"code", "message", "verdict", "label", "queue", "source", "key", "bytes", "problem"}}
	for _, r := range rows {
		took := ""
		if r.Took != nil {
			took = strconv.FormatFloat(*r.Took, 'f', -1, 64)
		}
		table = append(table, []string{r.State, r.Kind, r.ID, r.Type, r.Input, r.Recorded, r.Created, r.Started, r.Ended,
			took, r.Code, r.Message, r.Verdict, r.Label, r.Queue, r.Source, r.Key,
			strconv.FormatInt(r.Bytes, 10), r.Problem})
	}
	return table
}

// WriteCells writes a table as CSV, each cell made safe for a spreadsheet.
func WriteCells(w io.Writer, table [][]string) error {
	out := csv.NewWriter(w)
	for _, cells := range table {
		safe := make([]string, len(cells))
		for i, cell := range cells {
			safe[i] = notFormula(cell)
		}
		if err := out.Write(safe); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

func notFormula(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}
