package ftpd

import (
	"log/slog"
	"net"
	"net/netip"
	"testing"
)

// TestAPortOfAnotherAddressIsAnnounced: with listeners on several addresses, a
// client was told of ports that are open on another one than it connects to.
func TestAPortOfAnotherAddressIsAnnounced(t *testing.T) {
	t.Parallel()
	var listeners []net.Listener
	for _, host := range []string{"127.0.0.1", "127.0.0.2", "127.0.0.2", "::1"} {
		l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			t.Fatal(err)
		}
		listeners = append(listeners, l)
	}
	p := listenPassive(listeners, slog.New(slog.DiscardHandler))
	defer p.close()
	from, to := netip.MustParseAddr("127.0.0.9"), netip.MustParseAddr("127.0.0.2")
	for range 2 {
		a, err := p.announce(t.Context(), from, to)
		if err != nil {
			t.Fatal(err)
		}
		defer a.close()
		if a.slot.at.Addr() != to {
			t.Errorf("announced is %s", a.slot.at)
		}
	}
}
