package access

import "context"

// RecordRefusal is what Login and Refused do with a refusal.
func (g *Gate) RecordRefusal(ctx context.Context, a Attempt, d Decision) error {
	return g.refuse(ctx, a, d)
}

// FlushRefusals records the counts as if their window were over.
func (g *Gate) FlushRefusals(ctx context.Context) error {
	return g.flushRefusals(ctx, g.now().Add(RepeatWindow))
}

// Review judges every session, as Run does.
func (g *Gate) Review(ctx context.Context) { g.review(ctx) }
