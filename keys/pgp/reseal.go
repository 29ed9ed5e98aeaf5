package pgp

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// Limits on the session keys of a sealed file, which may be damaged or forged.
const (
	maxSessionKeys    = 1000
	maxSessionKeyBody = 8 << 10 // octets: ML-KEM and RSA of 16384 bits have about 2,000
)

// sealedHead is the beginning of a sealed file, up to its encrypted data.
type sealedHead struct {
	sessionKeys []*packet.EncryptedKey
	data        header // of the sealed data packet
	version     int    // of the sealed data packet
	prefix      [prefixSize]byte
}

// Recipients returns the ids of the keys that a sealed file is addressed to, in its
// order, as [Certificate.EncryptionKeyIDs] gives them: 16 zeros for one that does not
// want to be known. It reads no further than the encrypted data. What is not a sealed
// file gives [ErrNotSealed].
func Recipients(src io.Reader) ([]string, error) {
	head, err := readHead(bufio.NewReader(src))
	if err != nil {
		return nil, fmt.Errorf("reading recipients: %w", err)
	}
	ids := make([]string, 0, len(head.sessionKeys))
	for _, sessionKey := range head.sessionKeys {
		ids = append(ids, keyID(sessionKey.KeyId))
	}
	return ids, nil
}

// ResealedRecipients returns what [Recipients] gives for a file that is sealed, or
// resealed, to these certificates at that time. It fails as [Reseal] does if one of
// them is not usable.
func ResealedRecipients(to []Certificate, now time.Time) ([]string, error) {
	keys, err := recipientKeys(to, now)
	if err != nil {
		return nil, err
	}
	ids := make([]string, 0, len(keys))
	for _, key := range keys {
		ids = append(ids, keyID(key.KeyId))
	}
	return ids, nil
}

// Reseal readdresses a sealed file: what key can open, those in to can open, and key
// no longer. Only the session key is decrypted. The encrypted data goes from src to
// dst octet by octet as it is, and stays protected by its integrity code throughout,
// which the recipients check.
//
// It fails before anything is written if somebody in to is not usable
// ([*UnusableError]), src is no sealed file ([ErrNotSealed]) or is not addressed to
// key ([ErrNotRecipient]). If src turns out to be cut off ([io.ErrUnexpectedEOF]) or
// to have something behind its end, what dst has must be thrown away.
func Reseal(dst io.Writer, src io.Reader, key PrivateKey, to []Certificate, now time.Time) error {
	if err := reseal(dst, src, key, to, now); err != nil {
		return fmt.Errorf("resealing: %w", err)
	}
	return nil
}

func reseal(dst io.Writer, src io.Reader, key PrivateKey, to []Certificate, now time.Time) error {
	keys, err := recipientKeys(to, now)
	if err != nil {
		return err
	}
	in := bufio.NewReaderSize(src, 64<<10)
	head, err := readHead(in)
	if err != nil {
		return err
	}
	if head.version == sealVersionAEAD && sealVersionFor(keys) != sealVersionAEAD {
		return errors.New("the file is sealed in a form that only keys of version 6 can open")
	}
	session, err := head.open(key)
	if err != nil {
		return err
	}
	defer clear(session.key)
	sessionKeys, err := sessionKeyPackets(keys, session.key, session.algorithm, head.version)
	if err != nil {
		return err
	}
	return copyPacket(dst, in, head.data, sessionKeys)
}

// readHead reads the session keys and the header of the encrypted data. It leaves the
// body of the latter unread.
func readHead(in *bufio.Reader) (*sealedHead, error) {
	head := new(sealedHead)
	for {
		h, err := readHeader(in)
		switch {
		case errors.Is(err, io.EOF) && len(head.sessionKeys) > 0, errors.Is(err, io.ErrUnexpectedEOF):
			return nil, errSealedCut
		case errors.Is(err, io.EOF), errors.Is(err, errNotPacket), errors.Is(err, errIndeterminate):
			return nil, ErrNotSealed
		case err != nil:
			return nil, err
		}
		switch h.tag {
		case tagSealedData:
			return head, head.endHead(in, h)
		case tagEncryptedKey, tagPassphraseKey, tagMarker, tagPadding:
		default:
			return nil, ErrNotSealed
		}
		if h.partial || h.length > maxSessionKeyBody || len(head.sessionKeys) == maxSessionKeys {
			return nil, errSealedDamaged
		}
		body := make([]byte, h.length)
		if _, err := io.ReadFull(in, body); err != nil {
			return nil, cutOff(err)
		}
		if h.tag != tagEncryptedKey {
			continue
		}
		if err := head.addSessionKey(h, body); err != nil {
			return nil, err
		}
	}
}

var (
	errSealedDamaged = errors.New("the sealed file is damaged")
	errSealedCut     = fmt.Errorf("the sealed file is cut off: %w", io.ErrUnexpectedEOF)
)

// cutOff names the end of the input where more was announced.
func cutOff(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errSealedCut
	}
	return err
}

// endHead checks the version of the sealed data packet, without which it is an
// obsolete one.
func (head *sealedHead) endHead(in *bufio.Reader, h header) error {
	if len(head.sessionKeys) == 0 {
		return ErrNotSealed // to a passphrase, at best
	}
	if h.length < 1+prefixSize {
		return errSealedDamaged
	}
	start, err := in.Peek(1 + prefixSize)
	if err != nil {
		return cutOff(err)
	}
	if start[0] != sealVersion && start[0] != sealVersionAEAD {
		return errSealedDamaged
	}
	head.data, head.version = h, int(start[0])
	copy(head.prefix[:], start[1:])
	return nil
}

func (head *sealedHead) addSessionKey(h header, body []byte) error {
	var parsed packet.Packet
	err := guard(func() (err error) {
		parsed, err = packet.Read(bytes.NewReader(append(h.raw, body...)))
		return err
	})
	sessionKey, ok := parsed.(*packet.EncryptedKey)
	if err != nil || !ok {
		return errSealedDamaged
	}
	head.sessionKeys = append(head.sessionKeys, sessionKey)
	return nil
}

// sessionKey is what the encrypted data opens with.
type sessionKey struct {
	algorithm packet.CipherFunction
	key       []byte
}

// open finds the session key that key can decrypt.
func (head *sealedHead) open(key PrivateKey) (sessionKey, error) {
	if key.k == nil {
		return sessionKey{}, ErrNotRecipient
	}
	addressed := false
	for _, encrypted := range head.sessionKeys {
		if (encrypted.Version == 6) != (head.version == sealVersionAEAD) {
			continue // RFC 9580, section 10.3.2.1
		}
		for _, secret := range key.k.decryptionKeys() {
			if encrypted.KeyId != 0 && encrypted.KeyId != secret.KeyId {
				continue
			}
			err := guard(func() error { return encrypted.Decrypt(secret, nil) })
			if err != nil {
				addressed = addressed || encrypted.KeyId != 0
				continue
			}
			session := sessionKey{algorithm: encrypted.CipherFunc, key: encrypted.Key}
			if head.fits(session) {
				return session, nil
			}
			addressed = true
		}
	}
	if addressed {
		return sessionKey{}, errSealedDamaged
	}
	return sessionKey{}, ErrNotRecipient
}

// fits tells a wrong session key from the right one, as far as that is possible
// without decrypting content: SEIPD version 1 starts with random octets of which two
// are repeated. Nobody learns of the outcome who could make use of it.
func (head *sealedHead) fits(session sessionKey) bool {
	if head.version == sealVersionAEAD {
		return len(session.key) == packet.CipherAES256.KeySize() || len(session.key) == packet.CipherAES128.KeySize()
	}
	if len(session.key) != session.algorithm.KeySize() || session.algorithm < packet.CipherAES128 || session.algorithm > packet.CipherAES256 {
		return false
	}
	block, err := aes.NewCipher(session.key)
	if err != nil {
		return false
	}
	return repeats(block, head.prefix[:])
}

// repeats decrypts the random prefix of encrypted data, 18 octets in CFB.
func repeats(block cipher.Block, prefix []byte) bool {
	var first, second [aes.BlockSize]byte
	block.Encrypt(first[:], first[:])
	block.Encrypt(second[:], prefix[:aes.BlockSize])
	const at = aes.BlockSize - 2
	return prefix[at]^first[at] == prefix[aes.BlockSize]^second[0] &&
		prefix[at+1]^first[at+1] == prefix[aes.BlockSize+1]^second[1]
}

// copyPacket writes what goes before, copies the sealed data packet as it is, with its
// lengths, and checks that it is whole and the last.
func copyPacket(dst io.Writer, in *bufio.Reader, h header, before []byte) error {
	raw := append(before, h.raw...)
	for {
		if _, err := dst.Write(raw); err != nil {
			return err
		}
		if _, err := io.CopyN(dst, in, h.length); err != nil {
			return cutOff(err)
		}
		if !h.partial {
			break
		}
		var err error
		h.length, h.partial, raw, err = readLength(in, nil)
		if err != nil {
			return cutOff(err)
		}
	}
	_, err := in.ReadByte()
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	}
	return errors.New("the sealed file has something behind its end")
}
