package main

import (
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/sealdrop/sealdrop/config"
	"github.com/sealdrop/sealdrop/internal/certificate"
)

func (a *app) configCommand() *cobra.Command {
	return group("config", "check and show the configuration", `The configuration is one YAML file, found at --config, SEALDROP_CONFIG,
./config.yaml or /etc/sealdrop/config.yaml. Any setting can be overridden by an
environment variable: SEALDROP_SFTP_LISTEN for sftp.listen.`,
		a.configCheck(), a.configShow(), a.configReference())
}

func (a *app) configCheck() *cobra.Command {
	cmd := &cobra.Command{
		Use: "check", Short: "find everything that is wrong with the configuration",
		Long: `Reads the configuration, the files that declare clients, the environment, the escrow
key, the SSH host keys, the TLS certificate and the texts of messages, and prints every
fault with its line. It looks whether the folders are there that are named. Where it can
open the catalog, it warns of clients that were declared and no longer are: they would
be disabled. A gateway that is told to reload (SIGHUP) checks the configuration and the
host keys likewise.`,
		Example: "  sealdrop config check && systemctl reload sealdrop",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.loadConfig()
			if err != nil {
				return err
			}
			for _, w := range cfg.Warnings {
				fmt.Fprintln(a.err, "warning:", printable(w.Error()))
			}
			if _, err := readRecipients("sealing.escrow", cfg.Sealing.Escrow); err != nil {
				return err
			}
			if err := checkNotify(cfg.Notify); err != nil {
				return err
			}
			if err := checkClientLanguages(cfg.Notify, cfg.Clients); err != nil {
				return err
			}
			if t := cfg.FTP.TLS; t.Certificate != "" {
				if _, err := certificate.Open(t.Certificate, t.Key, now, slog.New(slog.DiscardHandler)); err != nil {
					return err
				}
			}
			found, err := a.lookAround(cmd.Context(), cfg)
			for _, w := range found {
				a.complain("warning", w)
			}
			if err != nil {
				return err
			}
			warnings := len(cfg.Warnings) + len(found)
			out := map[string]any{"config": cfg.File, "clients": len(cfg.Clients), "warnings": warnings}
			return a.show(out, func(w io.Writer) {
				fmt.Fprintf(w, "%s is good: %s, %s\n", cfg.File, count(len(cfg.Clients), "declared client"), count(warnings, "warning"))
			})
		},
	}
	return a.outputFlag(cmd)
}

func (a *app) configShow() *cobra.Command {
	var origins bool
	cmd := &cobra.Command{
		Use: "show", Short: "show the settings in effect, defaults and environment included",
		Long: `Prints all settings as a configuration file that would have the same effect. With
--origins it tells of each whether it is a default, stands in a file, or comes from
the environment.`,
		Example: "  sealdrop config show\n  sealdrop config show --origins",
		Args:    arguments(),
	}
	cmd.Flags().BoolVar(&origins, "origins", false, "show where each setting comes from instead")
	cmd.RunE = func(*cobra.Command, []string) error {
		cfg, err := a.loadConfig()
		if err != nil {
			return err
		}
		if origins {
			found := cfg.Origins()
			return a.show(found, func(w io.Writer) {
				for _, k := range slices.Sorted(maps.Keys(found)) {
					row(w, k, found[k])
				}
			})
		}
		text, value, err := cfg.Effective()
		if err != nil {
			return err
		}
		return a.show(value, func(w io.Writer) { _, _ = w.Write(text) })
	}
	return a.outputFlag(cmd)
}

func (a *app) configReference() *cobra.Command {
	return &cobra.Command{
		Use: "reference", Short: "print the reference of all settings, in Markdown",
		Example: "  sealdrop config reference >settings.md",
		Args:    arguments(),
		RunE: func(*cobra.Command, []string) error {
			_, err := io.WriteString(a.out, config.Reference())
			return err
		},
	}
}

func writeYAML(w io.Writer, value any) error {
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	if err := enc.Encode(value); err != nil {
		return err
	}
	return enc.Close()
}
