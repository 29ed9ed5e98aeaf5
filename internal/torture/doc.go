// Package torture ends the gateway's processes at the worst moments and checks
// that its promises still hold. It is tests only; `make torture` runs them for
// longer than `make test` does. A run prints its seed, and TORTURE_SEED repeats
// its choices.
package torture
