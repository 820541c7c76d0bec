// Package serve is the command that runs a relay: it joins the slots of package
// cow, the log and the store on disk in cow/engine and the routes of package fasthttp, and
// is what they have to do with the process around them.
//
// serve.go, start.go and stop.go are a relay's life in the order in which it
// happens. The other files each hold one thing that lasts from start to stop:
//
//	process     signals, the log, and an end that nothing can hold up
//	supervisor  the service manager, as sd_notify speaks to it
//	reload      the configuration, read again while the relay runs
//	live        what of the configuration may change, and how it does
//	logwriter   lines of the log, which never hold up what logs them
//	alive       the question whether the relay still answers itself
package serve
