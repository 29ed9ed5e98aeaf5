package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sealdrop/sealdrop/config"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/reports"
)

// quotaFlags are the flags --quota and --quota-files.
type quotaFlags struct{ bytes, files string }

func (f *quotaFlags) define(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.bytes, "quota", "", "how much it may have, such as 10GiB; unlimited; or default for the gateway's own quota")
	cmd.Flags().StringVar(&f.files, "quota-files", "", "how many reports and uploads it may have; unlimited; or default")
}

// change puts what the flags ask for into a change, if they are given.
func (f *quotaFlags) change(cmd *cobra.Command, change *keys.Change) error {
	const byDefault = "default"
	if cmd.Flags().Changed("quota") {
		var limit config.Size
		if f.bytes != byDefault {
			var err error
			if limit, err = config.ParseSize(f.bytes); err != nil {
				return usagef(cmd, "--quota: %w", err)
			}
		}
		bytes := int64(limit)
		change.QuotaBytes = &bytes
	}
	if cmd.Flags().Changed("quota-files") {
		var limit config.Count
		if f.files != byDefault {
			var err error
			if limit, err = config.ParseCount(f.files); err != nil {
				return usagef(cmd, "--quota-files: %w", err)
			}
		}
		files := int64(limit)
		change.QuotaFiles = &files
	}
	return nil
}

// quotaOf is the quota of a new client.
func quotaOf(change keys.Change) (q reports.Quota) {
	if change.QuotaBytes != nil {
		q.Bytes = *change.QuotaBytes
	}
	if change.QuotaFiles != nil {
		q.Files = *change.QuotaFiles
	}
	return q
}

// quotaView is how the quota that holds for a client is shown. A field is absent
// where there is no limit.
type quotaView struct {
	Bytes int64 `json:"bytes,omitempty"`
	Files int64 `json:"files,omitempty"`
}

// addUsage adds what the client has, and may have, to its view.
func (v *clientView) addUsage(ctx context.Context, g *gateway, c keys.Client) error {
	used, quota, err := g.catalog.Usage(ctx, c.ID)
	if err != nil {
		return err
	}
	v.Files, v.Bytes = &used.Files, &used.Bytes
	v.Quota = &quotaView{Bytes: max(quota.Bytes, 0), Files: max(quota.Files, 0)}
	return nil
}

// fileText and byteText tell what a client has of what it may have.
func (v *quotaView) fileText(used int64) string {
	if v.Files == 0 {
		return fmt.Sprint(used)
	}
	return fmt.Sprintf("%d of %d", used, v.Files)
}

// folderText tells both in words.
func (v *quotaView) folderText(files, used int64) string {
	noun := " files, "
	if files == 1 && v.Files == 0 {
		noun = " file, "
	}
	return v.fileText(files) + noun + v.byteText(used)
}

func (v *quotaView) byteText(used int64) string {
	if v.Bytes == 0 {
		return size(used)
	}
	return size(used) + " of " + size(v.Bytes)
}

// quotaText tells the quota that holds for a client, and where it comes from.
func (v *quotaView) quotaText(c keys.Client) string {
	text := func(limit fmt.Stringer, own int64, field string) string {
		if own == 0 {
			return limit.String() + " (the gateway's)"
		}
		return limit.String() + place(c, field)
	}
	bytes, files := config.Size(v.Bytes), config.Count(v.Files)
	if bytes == 0 {
		bytes = config.Unlimited
	}
	if files == 0 {
		files = config.Unlimited
	}
	return text(bytes, c.Quota.Bytes, keys.FieldQuota) + "; files: " + text(files, c.Quota.Files, keys.FieldQuotaFiles)
}

func (a *app) clientRecount() *cobra.Command {
	cmd := &cobra.Command{
		Use: "recount ID", Short: "count anew what a client has of its quota",
		Long: `The catalog keeps count of what a client has, and "sealdrop fsck" says if that is
wrong, as it can be after somebody has changed the database by hand. This corrects it.`,
		Example: "  sealdrop client recount acme",
		Args:    arguments("ID"),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.withClient(cmd, args[0], func(ctx context.Context, g *gateway, c keys.Client) error {
			if _, _, err := g.catalog.CheckUsage(ctx, c.ID, true); err != nil {
				return err
			}
			return a.showClient(ctx, g, c)
		})
	}
	return a.outputFlag(cmd)
}
