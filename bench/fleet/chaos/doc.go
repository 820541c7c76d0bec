// Package chaos runs rounds: clients act on relays while faults come and go, and the
// checker holds all that was seen against the contract.
package chaos
