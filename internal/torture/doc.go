// Package torture ends the gateway's processes at the worst moments, at random and
// right before each of their system calls, and cuts the power of their disk, and checks
// that its promises still hold. It is tests only; `make torture` runs them for
// longer than `make test` does. A run prints its seed, and TORTURE_SEED repeats
// its choices.
//
// TestHostilePeers besieges the gateway: the test binary starts itself again as a
// process of attackers, beside honest clients whose visits it times. What an attack
// is and what it may cost is in the list of hostile_attacks_test.go; TORTURE_HOSTILE=1
// carries them out at full size.
package torture
