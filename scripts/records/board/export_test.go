package board

import (
	"context"
	"errors"
)

// Read lists and reads once, as Serve does in the background.
func (b *Board) Read(ctx context.Context) error {
	partly, err := b.live.list(ctx)
	if err == nil {
		err = errors.Join(partly, b.live.fill(ctx))
	}
	b.live.change(func(s *snapshot) { s.filling = false })
	return err
}

// List lists once, and reads no record.
func (b *Board) List(ctx context.Context) error {
	partly, err := b.live.list(ctx)
	b.live.change(func(s *snapshot) { s.filling = false })
	return errors.Join(partly, err)
}

// Token returns what a form must have.
func (b *Board) Token() string { return b.token }
