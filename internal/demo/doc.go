// Package demo tells the whole way of a statement, from the hand-in to the purge,
// by doing it: with the program itself and with the clients that the gateway's
// clients use (OpenSSH, PuTTY, GnuPG). Start with [Run].
//
// The story is data: chapters of steps, in the files whose names begin with
// story. A step's command is printed and then given to /bin/sh to the letter, so
// what a reader copies is what was run. Each step says what must come of it; what
// comes otherwise ends the demonstration with a [*Mismatch].
//
// # What it promises
//
//   - Everything is in one folder, and what it starts listens on 127.0.0.1 only.
//     No setting of the user's own (SEALDROP_ variables, SSH and GnuPG
//     configuration, agents) reaches the programs that it runs, and they reach
//     none.
//   - When Run returns, whatever it started has ended: the gateway, the command
//     under way, the GnuPG agents. A folder that Run made up itself is removed,
//     unless something went wrong and the folder may tell what.
//   - A program that is missing is named, and the steps that need it are left
//     out.
//
// # What it refuses
//
// A folder that has something in it; and one whose path holds other characters
// than a shell takes as they are, or is too long for the sockets of a GnuPG agent.
package demo
