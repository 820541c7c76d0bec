// Package relaytest runs the built relay for tests, over real sockets: it builds the
// binary once for each package of tests, starts it, and is a client of it. It ends
// only processes that it started.
//
//	func TestMain(m *testing.M) { relaytest.Main(m) }
//
//	r := relaytest.Start(t, t.TempDir())
//	s := r.Allocate()
//	r.Post(s, relaytest.Event("a", 0, 300))
//	r.Stop()
//
// Nothing here uses the code that it tests, apart from Fill, which writes a store
// through the journal because HTTP would take too long.
package relaytest
