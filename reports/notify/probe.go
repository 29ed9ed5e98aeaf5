package notify

import (
	"context"
	"time"

	"github.com/sealdrop/sealdrop/internal/id"
	"github.com/sealdrop/sealdrop/reports/notify/contact"
)

// SendTest hands a test message over at once, and returns what the other side said.
// client may be "" for the operators' own contacts.
func (c *Channels) SendTest(ctx context.Context, client, name string, p contact.Preferences, to contact.Contact, now time.Time) (answer string, err error) {
	o := outgoing{
		id: "msg_" + id.New(), kind: kindTest, channel: to.Channel(), target: to.Target(), created: now,
		content: content{Client: client, Items: []item{}},
	}
	o.prefer(name, p, p.Timezone.Location())
	answer, err = c.send(ctx, o, now)
	return printable(answer), err
}
