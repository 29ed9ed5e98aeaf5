package main

import "github.com/spf13/cobra"

func (a *app) demoCommand() *cobra.Command {
	return &cobra.Command{Use: "demo", Short: "show the whole way of a statement, with real clients", Args: arguments(), RunE: func(cmd *cobra.Command, _ []string) error { return nil }}
}
