package main

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealdrop/sealdrop/config"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/reports"
)

// clientFlags are the flags of a client's fields that `client add` and `client set`
// have in common.
type clientFlags struct {
	name, retention, ftp string
	reach                []string
	quota                quotaFlags
}

// define adds the flags whose meaning is the same in both commands, with what else
// there is to say of --ftp.
func (f *clientFlags) define(cmd *cobra.Command, ftpDefault string) {
	cmd.Flags().StringVar(&f.ftp, "ftp", "", "how it may use FTP: tls, plain (in the clear, too) or off"+ftpDefault)
	f.quota.define(cmd)
	reachFlag(cmd, &f.reach)
}

// change is what the flags ask for, as far as they are given.
func (f *clientFlags) change(cmd *cobra.Command) (change keys.Change, err error) {
	if cmd.Flags().Changed("name") {
		name, err := nameArg(cmd, f.name)
		if err != nil {
			return change, err
		}
		change.Name = &name
	}
	if cmd.Flags().Changed("retention") {
		kept, err := durationArg(cmd, "retention", f.retention)
		if err != nil {
			return change, err
		}
		change.Retention = &kept
	}
	if cmd.Flags().Changed("ftp") {
		mode, err := ftpArg(cmd, f.ftp)
		if err != nil {
			return change, err
		}
		change.FTP = &mode
	}
	if cmd.Flags().Changed("delivers-to") {
		to, err := reachArg(cmd, f.reach)
		if err != nil {
			return change, err
		}
		change.DeliversTo = &to
	}
	err = f.quota.change(cmd, &change)
	return change, err
}

// client is the new client that the flags describe.
func (f *clientFlags) client(cmd *cobra.Command, id reports.ClientID) (keys.Client, error) {
	c := keys.Client{ID: id, Name: id.String()}
	change, err := f.change(cmd)
	if err != nil {
		return c, err
	}
	if change.Name != nil && *change.Name != "" {
		c.Name = *change.Name
	}
	if change.Retention != nil {
		c.Retention = *change.Retention
	}
	if change.FTP != nil {
		c.FTP = *change.FTP
	}
	if change.DeliversTo != nil {
		c.DeliversTo = *change.DeliversTo
	}
	c.Quota = quotaOf(change)
	return c, nil
}

func ftpArg(cmd *cobra.Command, s string) (keys.FTPMode, error) {
	mode, err := config.ParseFTP(s)
	if err != nil {
		return "", usagef(cmd, "--ftp: %w", err)
	}
	if mode == string(keys.FTPPlain) {
		fmt.Fprintln(cmd.ErrOrStderr(), "warning: --ftp: plain sends the password and the names of files over the network where anybody on the way can read them; the reports themselves stay encrypted")
	}
	return keys.FTPMode(mode), nil
}

func clientArg(cmd *cobra.Command, s string) (reports.ClientID, error) {
	id, err := reports.ParseClientID(s)
	if err != nil {
		return id, &usageError{err: err, command: cmd.CommandPath()}
	}
	return id, nil
}

func clientArgs(cmd *cobra.Command, list []string) (ids []reports.ClientID, err error) {
	for _, s := range list {
		id, err := clientArg(cmd, s)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func nameArg(cmd *cobra.Command, s string) (string, error) {
	name, err := config.ParseName(s)
	if err != nil {
		return "", usagef(cmd, "--name: %w", err)
	}
	return name, nil
}

// prefixArgs reads the networks of a flag or, with "", of arguments.
func prefixArgs(cmd *cobra.Command, flag string, list []string) ([]netip.Prefix, error) {
	var prefixes []netip.Prefix
	place := ""
	if flag != "" {
		place = "--" + flag + ": "
	}
	for _, s := range list {
		p, err := config.ParseAllow(strings.TrimSpace(s))
		if err != nil {
			return nil, usagef(cmd, "%s%w", place, err)
		}
		if p.Bits() == 0 && cmd.Name() != "deny" {
			fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s%s lets the client connect from anywhere\n", place, p)
		}
		prefixes = append(prefixes, p)
	}
	return keys.Canonical(prefixes), nil
}

func durationArg(cmd *cobra.Command, flag, s string) (time.Duration, error) {
	if s == "" || s == "0" {
		return 0, nil
	}
	d, err := config.ParseDuration(s)
	if err != nil {
		return 0, usagef(cmd, "--%s: %w", flag, err)
	}
	if d < 0 {
		return 0, usagef(cmd, "--%s: %s is in the past", flag, s)
	}
	return d.Std(), nil
}
