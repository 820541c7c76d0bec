// Package operate is the commands that look after a running relay over its admin
// listener: admin, top and health. They need no access to the relay's store or
// process.
//
// The files whose names begin with admin are one command a function. Those that
// begin with top are, from the bottom up: topdata (a reading of the metrics),
// tophistogram, topchange (what happened between two readings), topsummary and
// toptables (lines made of it), topview (the whole picture), and top itself with
// topask, which ask, draw and hear keys. screen and line know a terminal and no relay.
package operate
