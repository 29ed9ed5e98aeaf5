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
	if err := errors.New("something else"); flagFault(err) != err {
		t.Error("an unknown error was changed")
	}
}
