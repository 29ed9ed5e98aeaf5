package pgp

import (
	"crypto"
	"fmt"
	"io"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// ClearSign writes a text with its signature by the key, in the form that stays
// readable without any program (RFC 9580, section 7), and that `gpg --verify`
// checks.
func ClearSign(dst io.Writer, text string, key PrivateKey, now time.Time) error {
	secret, err := key.k.signingKey(now)
	if err != nil {
		return err
	}
	return guard(func() error {
		w, err := clearsign.Encode(dst, secret, &packet.Config{Time: func() time.Time { return now }, DefaultHash: crypto.SHA256})
		if err == nil {
			_, err = io.WriteString(w, text)
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			return fmt.Errorf("signing: %w", err)
		}
		return nil
	})
}
