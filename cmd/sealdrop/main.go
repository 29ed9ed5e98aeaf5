// Command sealdrop runs and operates the report-delivery gateway. Its commands
// explain themselves: sealdrop --help.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// version is set by the linker.
var version = "devel"

func main() {
	os.Exit(run())
}

// run executes the command line and returns the exit status: 0 done, 1 refused
// or failed, 2 wrong usage, 3 `status` found something red.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	a := &app{in: os.Stdin, out: os.Stdout, err: os.Stderr}
	return a.execute(ctx, os.Args[1:])
}
