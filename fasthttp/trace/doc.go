// Package trace ties a request to what is told of it elsewhere: its id, which stands
// in the log, in the reply and in errors, and its span, which a collector of traces
// gets.
//
// Spans are made by a Tracer, which the program brings. So this package knows neither
// an HTTP server nor a library of traces, and imports nothing of ours.
package trace
