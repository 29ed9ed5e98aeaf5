package main

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"testing"
)

func TestQuickKeySignsLikeAnyOther(t *testing.T) {
	t.Parallel()
	k, err := newQuickKey()
	if err != nil {
		t.Fatal(err)
	}
	if n := k.public.N.BitLen(); n != quickBits {
		t.Fatalf("the modulus has %d bits", n)
	}
	short, long := sha256.Sum256([]byte("a")), sha512.Sum512([]byte("b"))
	for hash, digest := range map[crypto.Hash][]byte{crypto.SHA256: short[:], crypto.SHA512: long[:]} {
		signature, err := k.Sign(nil, digest, hash)
		if err == nil {
			err = rsa.VerifyPKCS1v15(&k.public, hash, digest, signature)
		}
		if err != nil {
			t.Errorf("%v: %v", hash, err)
		}
	}
	if _, err := k.Sign(nil, short[:20], crypto.SHA1); err == nil {
		t.Error("it signs with SHA-1")
	}
}
