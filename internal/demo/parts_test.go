package demo

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCommandIsPrintedToBeCopied(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	n := &narrator{out: &out}
	n.command("mkdir x\nsftp <<END\nls\nEND\nls x")
	if diff := cmp.Diff("$ mkdir x\n$ sftp <<END\nls\nEND\n$ ls x\n", out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestNarrator(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		color bool
		tell  func(*narrator)
		want  string
	}{
		"all lines, trimmed": {tell: func(n *narrator) { n.output("a  \n\nb\r\n", nil) }, want: "  a\n  b\n"},
		"chosen lines":       {tell: func(n *narrator) { n.output("one\ntwo\nthree\n", []string{"on", "ee"}) }, want: "  one\n  three\n"},
		"paragraph": {
			tell: func(n *narrator) { n.say(strings.Repeat("123456789 ", 9)) },
			want: strings.Repeat("123456789 ", 7) + "123456789\n123456789\n\n",
		},
		"color":    {color: true, tell: func(n *narrator) { n.title("x") }, want: "\x1b[1mx\x1b[0m\n\n"},
		"no color": {tell: func(n *narrator) { n.title("x") }, want: "x\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			tc.tell(&narrator{out: &out, color: tc.color})
			if diff := cmp.Diff(tc.want, out.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEnvironLetsNoSettingIn(t *testing.T) {
	t.Parallel()
	got := cleanEnviron([]string{
		"SEALDROP_DATA=/srv", "SEALDROP_CONFIG=/etc/x", "GNUPGHOME=/x", "GPG_AGENT_INFO=x", "SSH_AUTH_SOCK=/x", "DISPLAY=:0",
		"LANG=de_DE", "LC_MESSAGES=de", "LANGUAGE=de", "D=/x", "PATH=/bin", "HOME=/root", "DIR=/keep",
	}, "/tmp/d")
	want := []string{"HOME=/root", "DIR=/keep", "D=/tmp/d", "PATH=/tmp/d/bin:/bin", "SEALDROP_CONFIG=/tmp/d/gateway/config.yaml", "LC_ALL=C.UTF-8"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestStepHoldsOutputAgainstTheStory(t *testing.T) {
	t.Parallel()
	s := step{want: []string{"published"}, never: []string{"held"}}
	for output, problem := range map[string]string{
		"published":          "",
		"":                   `a command should have printed "published"`,
		"published and held": `a command should not have printed "held"`,
	} {
		if got := s.problem(output); got != problem {
			t.Errorf("%q: %q, want %q", output, got, problem)
		}
	}
}

func TestSweepsThatPurgeTooMuchAreNoticed(t *testing.T) {
	t.Parallel()
	fresh, old := time.Now(), time.Now().Add(-time.Hour)
	for name, tc := range map[string]struct {
		delivered   time.Time
		early, late string
		ok          bool
	}{
		"in time":              {fresh, "purged  0", "purged  1", true},
		"slow machine":         {old, "purged  1", "purged  0", true},
		"too early":            {fresh, "purged  1", "purged  0", false},
		"others, too":          {fresh, "purged  0", "purged  2", false},
		"others, too, early":   {old, "purged  2", "purged  0", false},
		"never":                {fresh, "purged  0", "purged  0", false},
		"says nothing, early":  {fresh, "", "purged  1", false},
		"says nothing in time": {fresh, "purged  0", "", false},
	} {
		sw := sweeps{delivered: tc.delivered}
		err := sw.early(tc.early)
		if err == nil {
			err = sw.late(tc.late)
		}
		if (err == nil) != tc.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWantDue(t *testing.T) {
	t.Parallel()
	all := func(due, all int) bool { return due == all }
	for output, ok := range map[string]bool{"6 of 6 are due by x\n": true, "1 of 6 are due by x\n": false, "": false} {
		if err := wantDue(output, all); (err == nil) != ok {
			t.Errorf("%q: %v", output, err)
		}
	}
}
