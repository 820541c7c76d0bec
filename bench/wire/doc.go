// Package wire is HTTP as the load generator speaks it: connections that write
// requests serialized before, heads of which three fields are read, transfer
// chunks, frames of server-sent events, and events whose number is patched in
// place.
//
// The generator shares the cores with the server that it measures. So nothing
// here does more than the checks need: a header is not parsed into a map, a
// window is dropped in the kernel, a request is not built anew. net/http would
// cost as much as the relay.
//
// The package knows the shapes of the relay's requests (contract.go) and no
// more. It runs on Linux only.
package wire
