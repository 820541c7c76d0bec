// Package share counts how much each of many clients holds of one bounded thing:
// connections, bytes of requests, long polls, streams. It does not know what the
// thing is, nor who the clients are.
//
// The thing is counted in units, and the caller says what a unit is: one
// connection, one stream, one byte. A Ledger has a limit of units in all, and a
// share that one client may hold. A client holds its units in one or more holders.
// A holder is what can be ended to get its units back, for instance a connection.
//
// A holder's states:
//
//	        Take                    Victim names it
//	empty -------> holding (Grow) -----------------> leaving
//	  ^               |                                 |
//	  +------ Give ---+------------- Give --------------+
//
// What holds:
//   - S1 All holders together never hold more units than the limit, and those of
//     one client never more than the share.
//   - S2 The units of a holder are given back once, however often and from
//     wherever Give is called.
//   - S3 The client that holds the most gives way. If none of its holders may go, a
//     client that holds nearly as much does. Of the client's holders that may go it
//     is the one that took, grew or was touched longest ago.
//   - S4 Taking and giving back cost the logarithm of the number of clients. The
//     search for a holder that gives way looks at a bounded number of holders.
package share
