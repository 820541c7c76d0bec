package rendezvous

// Source is which client a request is from, as a key. 0 is a client on this
// machine, which no share holds.
type Source uint64
