package sftpd

import (
	"slices"
	"strings"
	"testing"
)

// In FIPS mode nothing is offered that is not approved, and enough is left for the
// programs in use.
func TestFIPSModeOffersApprovedAlgorithmsOnly(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		rules
		kex, ciphers []string
	}{
		"on": {
			rules{hardwareAES: true, fips: true},
			[]string{"mlkem768x25519-sha256", "ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521"},
			[]string{"aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes256-ctr"},
		},
		"on, without AES in hardware": {
			rules{fips: true},
			[]string{"mlkem768x25519-sha256", "ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521"},
			[]string{"aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes256-ctr"},
		},
		"only": {
			rules{hardwareAES: true, fips: true, enforced: true},
			[]string{"ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521"},
			[]string{"aes128-ctr", "aes256-ctr"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := test.keyExchanges(); !slices.Equal(got, test.kex) {
				t.Errorf("key exchanges are %q", got)
			}
			if got := test.ciphersFor(nil); !slices.Equal(got, test.ciphers) {
				t.Errorf("ciphers are %q", got)
			}
			for _, mac := range test.macsFor(nil) {
				if !strings.HasPrefix(mac, "hmac-sha2-") {
					t.Errorf("offers the MAC %s", mac)
				}
			}
		})
	}
}
