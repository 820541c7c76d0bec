// Package honest is the clients that do no harm while a relay is attacked. They
// do at fixed times what clients do, whatever the answers take, and latency
// counts from when each thing was due.
//
// They keep a Ledger of all that was sent and acknowledged, and look for it in
// the end. They also note for each event which streams and long polls have not
// seen it yet.
package honest
