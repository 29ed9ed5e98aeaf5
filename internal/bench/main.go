package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"

	"github.com/sealdrop/sealdrop/internal/bench/measure"
)

// settings is what the command line says.
type settings struct {
	scale    float64
	rounds   int
	chosen   *regexp.Regexp
	dir      string
	peers    string
	sftpgo   string // empty: it is not there
	sq       string // the same
	sealdrop string
	document string
	growth   bool
}

func main() {
	os.Exit(run(os.Args[1:]))
}

// run executes the command line and returns the exit status: 0 done, 1 failed,
// 2 wrong usage.
func run(args []string) int {
	if len(args) > 0 && args[0] == loopCommand {
		return told(loop(args[1:]))
	}
	if len(args) > 0 && args[0] == filesCommand {
		return told(filesAlone(args[1:]))
	}
	s, status := parse(args)
	if status != 0 {
		return status
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b := &bench{settings: s, progress: os.Stderr}
	if s.growth {
		return told(b.growthRun(ctx))
	}
	result, err := b.measure(ctx)
	if result != nil {
		fmt.Print(result.markdown())
	}
	if err == nil && s.document != "" {
		err = measure.WriteBetween(s.document, "make bench", result.markdown())
	}
	return told(err)
}

func parse(args []string) (settings, int) {
	var s settings
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.Float64Var(&s.scale, "scale", 1, "`factor` of all sizes, to try it quickly")
	flags.IntVar(&s.rounds, "rounds", 3, "measurements of each side of a case")
	chosen := flags.String("case", "", "measure the cases whose names match a `regexp`")
	flags.StringVar(&s.dir, "dir", "/var/tmp", "`folder` below which the servers keep their files, on a disk")
	flags.StringVar(&s.peers, "peers", ".build/bench-peers", "`folder` with the unpacked packages of the peers, for those that are not installed")
	flags.StringVar(&s.sftpgo, "sftpgo", ".build/sftpgo/sftpgo", "SFTPGo's `program`, which is left out where it is not there")
	flags.StringVar(&s.sealdrop, "sealdrop", "bin/sealdrop", "the `program` to measure")
	flags.StringVar(&s.document, "document", "", "`file` to write the result to, between its marks")
	flags.BoolVar(&s.growth, "growth", false, "measure how costs grow, at 1×, 10× and 100×, and no peers")
	if err := flags.Parse(args); err != nil {
		return s, 2
	}
	var err error
	if s.chosen, err = regexp.Compile(*chosen); err != nil {
		fmt.Fprintln(flags.Output(), "error:", err)
		return s, 2
	}
	if flags.NArg() > 0 || s.rounds < 1 || s.scale <= 0 || s.scale > 1 {
		fmt.Fprintln(flags.Output(), "error: no arguments are taken, -rounds is at least 1, and -scale above 0 and at most 1")
		flags.Usage()
		return s, 2
	}
	return s, 0
}

// told prints an error and returns the exit status.
func told(err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "error:", err)
	if h := (interface{ Hint() string })(nil); errors.As(err, &h) {
		fmt.Fprintln(os.Stderr, "hint:", h.Hint())
	}
	return 1
}

// hintedError is an error with what to do about it.
type hintedError struct {
	text, hint string
}

func (e *hintedError) Error() string { return e.text }

// Hint says what to do about the error.
func (e *hintedError) Hint() string { return e.hint }
