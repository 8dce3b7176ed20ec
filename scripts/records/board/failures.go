package board

import (
	"github.com/ci-callback/ci-callback/scripts/records/catalog"
)

// A failuresPage is the failed jobs of a window, by what failed.
type failuresPage struct {
	Since  string // as in the URL, such as 24h
	Window string // in words, such as "in the last 24 hours"
	Groups []catalog.Group
	Failed int
	Read   int
	Total  int
}

func (b *Board) failures(r *request) (*page, error) {
	f := filterOf(r)
	since, until, err := f.Window(r.now)
	if err != nil {
		return nil, badQuery(err)
	}
	entries := catalog.Within(r.known.entries, since, until)
	summaries := b.Catalog.CachedAll(entries)
	p := failuresPage{Since: f.Since, Window: windowWords(f.Since, f.Until), Groups: catalog.Groups(summaries), Total: len(entries)}
	for _, s := range summaries {
		if s != nil {
			p.Read++
		}
	}
	for _, g := range p.Groups {
		p.Failed += g.Count
	}
	return &page{Template: "failures", Title: "Failures", Active: "/failures", Data: p, Live: b.liveWhile(r),
		Command: command("list", "state", "Failed", "since", r.moment(f.Since), "until", r.moment(f.Until), "limit", "0")}, nil
}
