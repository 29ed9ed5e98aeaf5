// Command storm simulates the morning: many clients come within some minutes, and each logs in and
// fetches its reports. It tells how long a login and the first byte take, which resource is
// busy, at what rate it breaks (the knee), and how many nodes keep a p99.
//
//	go run ./internal/bench/storm
//	go run ./internal/bench/storm -clients 1000000 -minutes 60 -nodes 6 -catalog postgres
//	make scaling
//
// What an operation costs is not guessed here: it is read from measured.json, where every
// parameter has its unit, its value and the measurement that it comes from, or a word that it is assumed.
// Each is a flag as well. Start with [simulate] for the events and with [costs] for the parameters.
//
// What is modelled, and how it follows the gateway:
//
//   - Clients are dealt to the node with the fewest sessions, as a balancer for TCP does.
//   - A node is a number of cores that serve a queue in order, and one line to the network.
//   - A login costs processor time in two parts, with look-ups in the catalog between them and the
//     write of its audit record after them, which must be durable before the client is let in.
//   - The catalog has one writer at a time. A node that gets its turn takes along what has
//     gathered meanwhile, [maxBatch] writes at most (group commit), and the lock is held
//     for every round trip of it. In a file on the node ("sqlite") a trip costs nothing.
//   - A fetch looks the name up, waits for the store, and goes out on the line. Its receipt is
//     written behind the transfer's back, and so delays others only.
//
// What is not: the network between client and gateway, which adds about ten round trips to a
// login and takes nothing of the gateway; clients that fail and come again; failing nodes.
// Service times are constant, so the tails are those of arrivals and queues.
//
// The same seed gives the same output, to the byte.
package main
