package main

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// named is a server of which only the name counts.
type named string

func (n named) name() string  { return string(n) }
func (named) version() string { return "1.0" }
func (named) login() login    { return login{} }
func (named) command(context.Context, place, string) (*exec.Cmd, error) {
	return nil, nil
}

func TestTargets(t *testing.T) {
	t.Parallel()
	r := newResult(settings{size: 1 << 20, rounds: 1, dir: t.TempDir()})
	r.servers = []server{named("sealdrop"), named("vsftpd"), named("proftpd")}
	for i, c := range cells {
		r.add("vsftpd", c, sample{wall: 2 * time.Second, server: time.Second})
		r.add("proftpd", c, sample{wall: time.Second, server: 3 * time.Second})
		own := sample{wall: 900 * time.Millisecond, server: time.Second}
		if i == 0 {
			own = sample{wall: time.Second, server: 1100 * time.Millisecond}
		}
		r.add("sealdrop", c, own)
	}
	text := r.markdown()
	for _, want := range []string{
		"| plain download | sealdrop | 1.00 (0.50×) | 1.10 (1.10×)   | 0.00           |\n",
		"| FTPS upload    | proftpd  | 1.00 (0.50×) | 3.00 (3.00×)   | 0.00           |\n",
		"| plain download | missed                    | missed (proftpd: 1.00×)   |\n",
		"| plain upload   | met                       | met (proftpd: 0.90×)      |\n",
		"| target         | met (3 of 4, target 3)    | missed (3 of 4, target 4) |\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("it lacks %q", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}
