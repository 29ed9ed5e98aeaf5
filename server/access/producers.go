package access

import (
	"context"
	"net/netip"
	"time"
)

// ProducerRefusal is somebody who could not prove over HTTP to be a producer.
type ProducerRefusal struct {
	// Address is where it was tried from; the zero value is this machine, through a
	// unix socket.
	Address netip.Addr
	// Reason is one of package producer's.
	Reason string
	// Producer is who it claimed to be, "" if it did not say.
	Producer string
	// Guessing: it counts towards the address's lock-out.
	Guessing bool
}

// LockedOut returns until when an address is locked out, the zero time if it is not.
// Lock-outs hold for all protocols.
func (g *Gate) LockedOut(ctx context.Context, addr netip.Addr) (time.Time, error) {
	return g.bannedUntil(ctx, bucket(addr))
}

// RefusedProducer records a refusal, or counts it if it is a repetition, and counts
// a guess towards the address's lock-out.
func (g *Gate) RefusedProducer(ctx context.Context, r ProducerRefusal) error {
	here := "unix socket"
	if r.Address.IsValid() {
		here = r.Address.Unmap().String()
		if r.Guessing {
			if err := g.fail(ctx, r.Address); err != nil {
				return err
			}
		}
	}
	kind := refusal{bucket: here, reason: Reason(r.Reason)}
	if r.Address.IsValid() {
		kind.bucket = bucket(r.Address)
	}
	if !g.refusals.first(kind, g.now()) {
		return nil
	}
	g.Log.Warn("producer refused", "event", "producer.refused", "reason", r.Reason, "producer", printable(r.Producer), "address", here, "protocol", "http")
	return g.recordRefusal(ctx, Decision{}, map[string]string{
		"reason": r.Reason, "producer": printable(r.Producer), "address": here, "protocol": "http",
	})
}

// AllowedProducer tells that a producer has proved itself at an address: its earlier
// failures were slips.
func (g *Gate) AllowedProducer(addr netip.Addr) { g.failures.forget(bucket(addr)) }
