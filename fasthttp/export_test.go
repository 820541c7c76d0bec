package fasthttp

// withHandler replaces what a route does until restore is called. The table of
// routes is shared: tests that use it must not run in parallel with others.
func withHandler(rt *route, get func(*Relay, request) error) (restore func()) {
	was := rt.get.serve
	rt.get.serve = get
	return func() { rt.get.serve = was }
}
