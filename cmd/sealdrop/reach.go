package main

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/sealdrop/sealdrop/config"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/reports"
)

func reachFlag(cmd *cobra.Command, reach *[]string) {
	cmd.Flags().StringSliceVar(reach, "delivers-to", nil, "for a producer: the `ID`s of the clients that it hands in reports for, or all")
}

// reachArg is nobody if the flag is not given.
func reachArg(cmd *cobra.Command, list []string) (reach keys.Reach, err error) {
	if !cmd.Flags().Changed("delivers-to") {
		return reach, nil
	}
	if slices.Equal(list, []string{config.EveryClient}) {
		return keys.Reach{All: true}, nil
	}
	if reach.Clients, err = clientArgs(cmd, list); err != nil {
		return reach, err
	}
	if reach.IsZero() {
		return reach, usagef(cmd, "--delivers-to names nobody")
	}
	return reach, nil
}

// declaredReach is what a file says of whom a producer delivers to.
func declaredReach(list []string) *keys.Reach {
	reach := &keys.Reach{All: slices.Equal(list, []string{config.EveryClient})}
	for _, text := range list {
		if id, err := reports.ParseClientID(text); err == nil && !reach.All {
			reach.Clients = append(reach.Clients, id)
		}
	}
	return reach
}

// exportedReach is the other way round.
func exportedReach(reach keys.Reach) (list []string) {
	if reach.All {
		return []string{config.EveryClient}
	}
	for _, id := range reach.Clients {
		list = append(list, id.String())
	}
	return list
}
