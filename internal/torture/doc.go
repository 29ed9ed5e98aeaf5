// Package torture ends the gateway's processes at the worst moments, at random and
// right before each of their system calls, and cuts the power of their disk, and checks
// that its promises still hold. It is tests only; `make torture` runs them for
// longer than `make test` does. A run prints its seed, and TORTURE_SEED repeats
// its choices.
package torture
