package sftpd

import (
	"errors"
	"fmt"
	"testing"

	"github.com/pkg/sftp"

	"github.com/sealdrop/sealdrop/reports"
)

// A client may see how much of its quota it uses, and no more than that.
func TestStatusOfAQuota(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("storing it in /var/lib: %w", &reports.QuotaError{
		Used: reports.Usage{Bytes: 9 << 30}, Quota: reports.Quota{Bytes: 10 << 30},
	})
	out, internal := toStatus(err)
	const want = "the quota is used up: the folder has 9 GiB of 10 GiB, and the file does not fit in"
	if internal || !errors.Is(out, sftp.ErrSSHFxFailure) || out.Error() != want {
		t.Errorf("%v, internal: %v", out, internal)
	}
}
