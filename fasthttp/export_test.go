package fasthttp

// withRoute adds a route for one test. Tests that use it must not run in
// parallel with others: the path is matched by its handler's name.
func withHandler(rt *route, get func(*Relay, request) error) (restore func()) {
	was := rt.get
	rt.get = get
	return func() { rt.get = was }
}
