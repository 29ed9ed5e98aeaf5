package sftpd

import "sync"

// pages are the buffers that answers are made in, shared by all sessions: one has one
// while it answers a request, also one that waits for a client that does not read.
type pages struct{ pool sync.Pool }

// page is one answer, with room for the longest.
type page = [4 + maxPacket]byte

func (p *pages) get() *page {
	if b, ok := p.pool.Get().(*page); ok {
		return b
	}
	return new(page)
}

func (p *pages) put(b *page) { p.pool.Put(b) }
