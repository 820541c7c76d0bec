// Package trace ties a request to what is told of it elsewhere: its id, which stands
// in the log, in the reply and in errors.
//
// It knows no HTTP server, and imports nothing of ours.
package trace
