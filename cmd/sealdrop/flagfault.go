package main

import (
	"errors"
	"regexp"
	"strings"
)

// What cobra says of flags that are missing or don't go together, and of values that are
// no numbers.
var (
	flagValue    = regexp.MustCompile(`^invalid argument (".*") for "(?:-\w, )?(--[\w-]+)" flag: strconv\.Parse(\w+): .*: (value out of range|invalid syntax)$`)
	flagRequired = regexp.MustCompile(`^required flag\(s\) "(.+)" not set$`)
	flagNone     = regexp.MustCompile(`^at least one of the flags in the group \[.+\] is required$`)
	flagBoth     = regexp.MustCompile(`^if any flags in the group \[.+\] are set none of the others can be; \[(.+)\] were all set$`)
	flagGroup    = regexp.MustCompile(`\[(.+?)\]`)
)

// flagFault puts what cobra says of missing and contradicting flags, and of their values,
// into the words of this program. What it does not know stays as it is.
func flagFault(err error) error {
	text := err.Error()
	if m := flagValue.FindStringSubmatch(text); m != nil {
		problem := "is not a whole number"
		switch {
		case m[4] == "value out of range":
			problem = "is too large a number"
		case m[3] == "Bool":
			problem = "is neither true nor false"
		case m[3] == "Float":
			problem = "is not a number"
		}
		return errors.New(m[2] + ": " + m[1] + " " + problem)
	}
	if m := flagRequired.FindStringSubmatch(text); m != nil {
		return errors.New(flagList(strings.Split(m[1], `", "`), "and") + " missing")
	}
	if flagNone.MatchString(text) {
		return errors.New("one of " + flagNames(strings.Fields(flagGroup.FindStringSubmatch(text)[1]), "or") + " is missing")
	}
	if m := flagBoth.FindStringSubmatch(text); m != nil {
		return errors.New(flagNames(strings.Fields(m[1]), "and") + " can't be used together")
	}
	return err
}

// flagList names flags, and has the verb that fits.
func flagList(names []string, word string) string {
	if len(names) == 1 {
		return flagNames(names, word) + " is"
	}
	return flagNames(names, word) + " are"
}

// flagNames names flags as they are typed.
func flagNames(names []string, word string) string {
	dashed := make([]string, 0, len(names))
	for _, n := range names {
		dashed = append(dashed, "--"+n)
	}
	if last := len(dashed) - 1; last > 0 {
		return strings.Join(dashed[:last], ", ") + " " + word + " " + dashed[last]
	}
	return strings.Join(dashed, "")
}
