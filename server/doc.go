// Package server listens. It stands in front of every protocol the gateway
// speaks and knows none of them: it decides who may open a connection at all,
// holds the bounds on how many there are and how long they may idle, and hands
// what is left to a [Handler].
//
// Start with [New], call [Server.Serve] once per net.Listener, end with
// [Server.Shutdown].
//
// What it promises:
//
//   - Not one byte is read from or written to a connection whose address
//     [Config.Admit] does not admit, but for the few that [Config.Strangers] lets
//     in where it is set. Addresses are compared in their plain form:
//     an IPv4 address that arrives mapped into IPv6 is unmapped first, and an
//     address that can't be parsed is refused.
//   - A connection that has not proved who it is ([Conn.Authenticated]) is
//     closed when [Limits.LoginTimeout] is over, whatever deadlines the handler
//     sets, and there are never more than [Limits.Unauthenticated] of them. When
//     there are, a newcomer takes the place of the longest waiting of the network
//     that has, or lately had, the most.
//   - One IPv4 address, or one IPv6 network of 64 bits, never holds more than
//     [Limits.ConnectionsPerAddress].
//   - A flood of refused connections costs one log line a minute: refusals are
//     counted by cause, with a few of the addresses, not logged one by one.
//   - Running out of file descriptors slows accepting down; it does not end it.
//   - After Shutdown returns no handler is running and no connection is open.
//
// A handler may be anything that serves a net.Conn. A protocol library that
// wants to call Accept itself is fed by a handler that passes the connection on
// and then waits for [Conn.Closed].
package server
