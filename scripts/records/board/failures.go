package board

import (
	"cmp"
	"fmt"
	"time"

	"github.com/ci-callback/ci-callback/scripts/records/catalog"
)

// A failuresPage is the failed jobs of a window, by what failed.
type failuresPage struct {
	Since  string
	Window string
	Groups []catalog.Group
	Failed int
	Read   int
	Total  int
}

func (b *Board) failures(r *request) (*page, error) {
	name := cmp.Or(r.query.Get("since"), "24h")
	since, err := catalog.ParseMoment(name, r.now)
	if err != nil {
		return nil, badQuery(fmt.Errorf("since: %w", err))
	}
	entries := r.known.within(since, time.Time{})
	summaries := b.Catalog.CachedAll(entries)
	p := failuresPage{Since: name, Window: windowWords(name), Groups: catalog.Groups(summaries), Total: len(entries)}
	for _, s := range summaries {
		if s != nil {
			p.Read++
		}
	}
	for _, g := range p.Groups {
		p.Failed += g.Count
	}
	return &page{Template: "failures", Title: "Failures", Active: "/failures", Data: p, Live: b.liveWhile(r),
		Command: command("list", "state", "Failed", "since", name)}, nil
}
