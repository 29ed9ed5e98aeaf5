package main

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/publish"
)

// handIn is a report on its way to a destination.
type handIn struct {
	publish.Delivery
	// open begins the content anew. Where it can be read only once, so can open be
	// called, and once is set.
	open func() (io.ReadCloser, error)
	once bool
	// sha256 is what the content must have, lower-case hex; "" if that is not known.
	// open sees to it already; over a network it is told besides.
	sha256 string
}

// destination is where reports are delivered: the data folder of this machine, or
// a gateway's HTTP API.
type destination interface {
	// client returns an error that wraps [reports.ErrUnknownClient] if nothing can
	// be delivered to a client.
	client(ctx context.Context, id reports.ClientID) error
	// deliver returns when the report is durable.
	deliver(ctx context.Context, h handIn) (deliveryView, error)
	// knows reports whether there is a report of that id, visible or not.
	knows(ctx context.Context, client reports.ClientID, id string) (bool, error)
}

// ownGateway delivers into the data folder.
type ownGateway struct{ *gateway }

func (g ownGateway) client(ctx context.Context, id reports.ClientID) error {
	_, err := g.register.Client(ctx, id)
	return g.explained(ctx, err)
}

func (g ownGateway) deliver(ctx context.Context, h handIn) (v deliveryView, err error) {
	content, err := h.open()
	if err != nil {
		return v, err
	}
	defer content.Close()
	o, err := g.publisher.Publish(ctx, h.Delivery, content)
	if err != nil {
		return v, err
	}
	return viewDelivery(o), nil
}

func (g ownGateway) knows(ctx context.Context, client reports.ClientID, id string) (bool, error) {
	r, err := g.catalog.Report(ctx, id)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && r.Client == client, err
}
