// Package ops tells machines how the gateway does: /metrics for Prometheus,
// /healthz and /readyz for whatever restarts it or sends it clients, and Go's
// profiles where they are switched on.
//
// Start with [NewMetrics], hand its methods to the packages that do the work,
// register what only a look tells with [Metrics.Read], and serve it with [New].
//
// What it promises:
//
//   - Nobody on another machine is answered. [Server.Serve] refuses a listener that
//     is neither a unix socket nor on the loopback; over TCP a request whose Host is
//     a name other than localhost is refused, so that no web page in an operator's
//     browser can rebind a name of its own to this machine and read along.
//   - It only reads: there is no route that changes anything, and methods other than
//     GET and HEAD are refused.
//   - No label has a client's id, an address, a name or any other text that a
//     stranger or a client chose: only words of closed lists. The number of time
//     series does not grow with use.
//   - Counting costs what an atomic addition does, and happens once per login,
//     transfer, delivery or commit; never per packet. What must be looked up is
//     looked up when somebody asks, at most every 15 seconds, and at most a twentieth
//     of the time.
//   - A figure that can't be had is left out, and sealdrop_source_up says whose it is;
//     one that fails does not take the others with it.
//   - What is open at one time is bounded: a user of this machine who opens connection
//     upon connection keeps monitoring from being served, and nothing else.
//
// It refuses to decide what is good: that is for the alert rules in
// deploy/prometheus.
package ops
