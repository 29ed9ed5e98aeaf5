package main

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/sealdrop/sealdrop/keys"
)

func reachFlag(cmd *cobra.Command, reach *[]string) {
	cmd.Flags().StringSliceVar(reach, "delivers-to", nil, "for a producer: the `ID`s of the clients that it hands in reports for, or all")
}

// reachArg is nobody if the flag is not given.
func reachArg(cmd *cobra.Command, list []string) (reach keys.Reach, err error) {
	if !cmd.Flags().Changed("delivers-to") {
		return reach, nil
	}
	if slices.Equal(list, []string{"all"}) {
		return keys.Reach{All: true}, nil
	}
	for _, text := range list {
		id, err := clientArg(cmd, text)
		if err != nil {
			return reach, err
		}
		reach.Clients = append(reach.Clients, id)
	}
	if reach.IsZero() {
		return reach, usagef(cmd, "--delivers-to names nobody")
	}
	return reach, nil
}
