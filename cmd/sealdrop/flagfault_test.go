package main

import (
	"errors"
	"testing"

	"github.com/spf13/cobra"
)

// TestFlagFaultIsNotInCobrasWords: "if any flags in the group [a b] are set none of the
// others can be; [a b] were all set" tells an operator nothing. The real cobra says it,
// so that another version's words are noticed.
func TestFlagFaultIsNotInCobrasWords(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		mark func(*cobra.Command)
		args []string
		want string
	}{
		"one is required": {func(c *cobra.Command) { _ = c.MarkFlagRequired("a") }, nil, "--a is missing"},
		"two are required": {func(c *cobra.Command) {
			_ = c.MarkFlagRequired("a")
			_ = c.MarkFlagRequired("b")
		}, nil, "--a and --b are missing"},
		"one of them":   {func(c *cobra.Command) { c.MarkFlagsOneRequired("a", "b") }, nil, "one of --a or --b is missing"},
		"contradiction": {func(c *cobra.Command) { c.MarkFlagsMutuallyExclusive("a", "b", "c") }, []string{"--a=1", "--b=2"}, "--a and --b can't be used together"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := &cobra.Command{Use: "x"}
			for _, flag := range []string{"a", "b", "c"} {
				cmd.Flags().String(flag, "", "")
			}
			test.mark(cmd)
			if err := cmd.ParseFlags(test.args); err != nil {
				t.Fatal(err)
			}
			err := cmd.ValidateRequiredFlags()
			if err == nil {
				err = cmd.ValidateFlagGroups()
			}
			if err == nil {
				t.Fatal("cobra finds nothing wrong")
			}
			if got := flagFault(err).Error(); got != test.want {
				t.Errorf("it says %q, want %q", got, test.want)
			}
		})
	}
	for args, want := range map[string]string{
		"--n=99999999999999999999": `--n: "99999999999999999999" is too large a number`,
		"--n=many":                 `--n: "many" is not a whole number`,
		"-s99999999999999999999":   `--short: "99999999999999999999" is too large a number`,
		"--yes=perhaps":            `--yes: "perhaps" is neither true nor false`,
	} {
		cmd := &cobra.Command{Use: "x"}
		cmd.Flags().Int64("n", 0, "")
		cmd.Flags().IntP("short", "s", 0, "")
		cmd.Flags().Bool("yes", false, "")
		err := cmd.ParseFlags([]string{args})
		if err == nil {
			t.Fatalf("%s is taken", args)
		}
		if got := flagFault(err).Error(); got != want {
			t.Errorf("%s: it says %q, want %q", args, got, want)
		}
	}
	if err := errors.New("something else"); flagFault(err) != err {
		t.Error("an unknown error was changed")
	}
}
