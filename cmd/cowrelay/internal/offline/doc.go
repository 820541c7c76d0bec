// Package offline is the commands that go through a whole store: verify and export.
// They read the store of a stopped relay, or a copy of it, and write nothing there.
// export can also ask a running relay.
//
// export has its events from a source: exportsource.go says what that is,
// exportstore.go and exportrelay.go are the two there are, exportahead.go has the
// second one ask for many small slots at once. exportcopy.go makes lines of the
// events, and exportout.go puts those where they belong.
package offline
