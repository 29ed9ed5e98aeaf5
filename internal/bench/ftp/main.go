package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/sealdrop/sealdrop/internal/bench/measure"
)

func main() {
	os.Exit(run())
}

// run executes the command line and returns the exit status: 0 done, 1 failed,
// 2 wrong usage.
func run() int {
	var s settings
	var mib int64
	var document string
	flag.Int64Var(&mib, "size", 1024, "`MiB` of the file")
	flag.IntVar(&s.rounds, "rounds", 5, "measurements of each cell on each server")
	flag.StringVar(&s.dir, "dir", "/dev/shm", "`folder` below which the servers keep their files")
	flag.StringVar(&s.peers, "peers", ".build/peers", "`folder` with the unpacked packages of the peers")
	flag.StringVar(&s.sealdrop, "sealdrop", "bin/sealdrop", "the `program` to measure")
	flag.StringVar(&document, "document", "", "`file` to write the result to, between its marks")
	flag.Parse()
	if flag.NArg() > 0 || mib < 1 || s.rounds < 1 {
		fmt.Fprintln(flag.CommandLine.Output(), "error: no arguments are taken, and -size and -rounds are at least 1")
		flag.Usage()
		return 2
	}
	s.size = mib << 20

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	result, err := runAll(ctx, s, os.Stderr)
	if err == nil {
		fmt.Print(result.markdown())
		if document != "" {
			err = measure.WriteBetween(document, "make bench-ftp", result.markdown())
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		if h := (interface{ Hint() string })(nil); errors.As(err, &h) {
			fmt.Fprintln(os.Stderr, "hint:", h.Hint())
		}
		return 1
	}
	return 0
}

// hintedError is an error with what to do about it.
type hintedError struct {
	text, hint string
}

func (e *hintedError) Error() string { return e.text }

// Hint says what to do about the error.
func (e *hintedError) Hint() string { return e.hint }
