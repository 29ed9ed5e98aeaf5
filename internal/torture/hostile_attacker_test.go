package torture

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// attackVariable makes the test binary the attacking process: its [order] in JSON.
const attackVariable = "TORTURE_ATTACK"

// order is what the attacking process is to do.
type order struct {
	Attack      string
	Target      target
	Connections int   // or sessions
	Volume      int64 // bytes, or whatever the attack counts, after which it may end
	Seed        uint64
}

// siege is an attack under way.
type siege struct {
	order
	ctx     context.Context
	settled atomic.Int64
	done    atomic.Int64 // of the volume
	refused atomic.Int64 // connections that were closed, requests that were answered with an error
	full    sync.Once
	ready   sync.Once
}

// outcome is what an attack has done, told at its end.
type outcome struct{ Done, Refused int64 }

// besiege is the attacking process: it attacks until its input ends. It says
// "ready" once the attack is under way, "full" when the volume is reached, and last
// the [outcome].
func besiege(orders string) int {
	s := &siege{}
	if err := json.Unmarshal([]byte(orders), &s.order); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.ctx = ctx
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
		// Who waits for an answer that does not come is not waited for.
		time.Sleep(time.Second)
		s.report()
		os.Exit(0)
	}()
	attack := attacks()[s.Attack]
	time.AfterFunc(3*time.Second, s.isReady) // some attackers never get in
	s.lanes(attack)
	s.report()
	return 0
}

func (s *siege) report() {
	line, _ := json.Marshal(outcome{Done: s.done.Load(), Refused: s.refused.Load()})
	fmt.Printf("outcome %s\n", line)
}

func (s *siege) isReady() { s.ready.Do(func() { fmt.Println("ready") }) }

// lanes runs an attack in all its lanes, each again and again.
func (s *siege) lanes(attack func(*lane) error) {
	var wg sync.WaitGroup
	for i := range s.Connections {
		l := &lane{siege: s, i: i, dice: rand.New(rand.NewPCG(s.Seed, uint64(i)))}
		l.source = rand.NewChaCha8([32]byte{byte(i), byte(i >> 8), byte(s.Seed)})
		wg.Go(func() {
			for s.ctx.Err() == nil {
				if err := attack(l); err != nil {
					s.refused.Add(1)
					l.under() // being refused is as far as it gets
					l.sleep(20 * time.Millisecond)
				}
			}
		})
	}
	wg.Wait()
}

// lane is one of an attack's connections.
type lane struct {
	*siege
	i       int
	dice    *rand.Rand
	source  *rand.ChaCha8
	arrived bool
}

// under tells that the lane does what it is there for.
func (l *lane) under() {
	if l.arrived {
		return
	}
	l.arrived = true
	if l.settled.Add(1) == int64(l.Connections) {
		l.isReady()
	}
}

// count adds to what was done.
func (l *lane) count(n int) {
	if l.done.Add(int64(n)) >= l.Volume {
		l.full.Do(func() { fmt.Println("full") })
	}
}

// sleep waits, and reports whether the attack goes on.
func (l *lane) sleep(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-l.ctx.Done():
		return false
	}
}

// from is the lane's own address in a network of 16 bits. Neighbours are in
// different networks of 24.
func (l *lane) from(network byte) string {
	return fmt.Sprintf("127.%d.%d.%d", network, l.i%256, l.i/256%250+1)
}

const (
	admitted = 2 // the second byte of an address
	foreign  = 3
)

// dial connects from an address of the network, for as long as the attack goes on.
func (l *lane) dial(network byte, to string) (net.Conn, error) {
	conn, err := dialFrom(l.ctx, l.from(network), to)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(l.ctx, func() { _ = conn.Close() })
	return conn, nil
}

// drip sends bytes one by one.
func (l *lane) drip(conn net.Conn, data []byte) error {
	l.under()
	for _, b := range data {
		if _, err := conn.Write([]byte{b}); err != nil {
			return err
		}
		l.count(1)
		if !l.sleep(100 * time.Millisecond) {
			return nil
		}
	}
	return nil
}

// swallow reads a connection to its end.
func swallow(conn io.Reader) { _, _ = io.Copy(io.Discard, conn) }

// hold keeps a connection until the gateway closes it.
func (l *lane) hold(conn net.Conn) error {
	l.under()
	swallow(conn)
	return io.EOF
}

// pour sends random bytes, up to n of them, until the gateway has enough.
func (l *lane) pour(w io.Writer, n int) error {
	l.under()
	block := make([]byte, 32<<10)
	for sent := 0; sent < n && l.ctx.Err() == nil; {
		_, _ = l.source.Read(block)
		k, err := w.Write(block)
		l.count(k)
		sent += k
		if err != nil {
			return err
		}
	}
	return nil
}
