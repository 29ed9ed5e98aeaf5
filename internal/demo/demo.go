package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Config says how the demonstration is run.
type Config struct {
	// Program is the path of the sealdrop binary to demonstrate.
	Program string
	// Dir is the folder to work in: a new or an empty one, which stays. Empty: a
	// temporary folder, which goes.
	Dir string
	// Keep leaves the gateway running at the end, until the context is done.
	Keep bool
	// Out gets the story.
	Out io.Writer
	// Color says that Out is a terminal that shows colours.
	Color bool
	// Environ is the environment, in the form of [os.Environ].
	Environ []string
	// Now is the clock that dates the statements.
	Now func() time.Time
}

// ErrInterrupted is returned when the context ends before the story does. All is
// cleaned up then, too.
var ErrInterrupted = errors.New("the demonstration was interrupted; what it had started is ended")

// chapter is a part of the story.
type chapter struct {
	title string
	steps []step
}

// tour is one run of the demonstration.
type tour struct {
	config  Config
	folder  folder
	day     time.Time // the statements'
	tools   tools
	environ []string
	story   *narrator
	port    int // for sFTP
	ftpPort int
	gateway *gateway // nil while none runs
	leftOut int      // commands
}

// Run tells the story, and returns when it is told and everything is cleaned up;
// with Keep, when ctx is done. The error is a [*Mismatch] when something was not
// as the story has it, a [*FolderError] when the folder can't be used, or
// [ErrInterrupted].
func Run(ctx context.Context, c Config) (err error) {
	t := &tour{config: c, day: c.Now().UTC(), story: &narrator{out: c.Out, color: c.Color}}
	if t.folder, err = openFolder(c.Dir); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.cleanUp(context.WithoutCancel(ctx), err)) }()
	if err := t.prepare(); err != nil {
		return err
	}
	t.introduce()
	for i, write := range t.chapters() {
		ch, err := write(ctx)
		if err == nil {
			t.story.title(fmt.Sprintf("%d. %s", i+1, ch.title))
			err = t.tell(ctx, ch)
		}
		if ctx.Err() != nil {
			return ErrInterrupted
		}
		if err != nil {
			return err
		}
	}
	if c.Keep {
		return t.keepRunning(ctx)
	}
	t.conclude()
	return nil
}

// chapters are written one by one, each when those before it were told: it is
// known only then what port the gateway has.
func (t *tour) chapters() []func(context.Context) (chapter, error) {
	return []func(context.Context) (chapter, error){
		t.setUp, t.makeKeys, t.serve, t.hold, t.deliver, t.fetch, t.upload, t.overFTP, t.refuse, t.purge, t.verify,
	}
}

// prepare makes what is there before the story begins: the client programs are
// looked for, and the reporting team has written its statements.
func (t *tour) prepare() error {
	t.tools = findTools(t.config.Environ)
	t.environ = cleanEnviron(t.config.Environ, t.folder.path)
	if err := t.linkProgram(); err != nil {
		return err
	}
	return t.writeStatements()
}

func (t *tour) introduce() {
	t.story.title("Sealdrop, from a statement to its reader")
	t.story.say("Two clients, acme and borealis, get their statements. Everything happens in one folder, " +
		"with real client programs. The commands are run just as they are printed; these lines let a shell understand them:")
	for _, v := range t.variables() {
		t.story.command(v)
	}
	t.story.blank()
	for _, m := range t.tools.missing() {
		t.story.note(m)
	}
}

// tell runs a chapter's steps and tells what comes of them.
func (t *tour) tell(ctx context.Context, ch chapter) error {
	before := t.leftOut
	for _, s := range ch.steps {
		if !t.tools.have(s.needs) {
			t.leftOut++
			continue
		}
		if err := t.play(ctx, s); err != nil {
			return err
		}
	}
	if n := t.leftOut - before; n > 0 {
		t.story.note(fmt.Sprintf("left out here for want of a program: %d of %d commands", n, len(ch.steps)))
	}
	return nil
}

func (t *tour) conclude() {
	if t.leftOut > 0 {
		t.story.say(fmt.Sprintf("What was shown is as it should be. %d commands were left out for want of a program.", t.leftOut))
		return
	}
	t.story.say("All of it is as it should be.")
}

// cleanUp ends what was started and removes the folder, unless it was asked for
// or may tell what went wrong.
func (t *tour) cleanUp(ctx context.Context, cause error) error {
	errs := []error{t.stopGateway(), t.endAgents(ctx)}
	var wrong *Mismatch
	switch {
	case errors.As(cause, &wrong):
	case t.folder.temporary:
		errs = append(errs, t.folder.remove())
	default:
		t.story.note("the folder stays: " + t.folder.path)
	}
	return errors.Join(errs...)
}
