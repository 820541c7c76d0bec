// Package fleet is how relays that share a log know of each other. Each puts a record
// into the log every ten seconds. It says who the relay is, and how far it is. The
// other relays see it come by as they see all else in the log: no relay asks another
// one, and no relay decides for the rest.
//
//	book.go    the relay's own record, and those of the others
//	watch.go   how far this relay is behind the log, and whether it can be reached
//	purge.go   what the fleet does not need any more of the log
package fleet
