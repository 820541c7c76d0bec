// Package tiny is a small relay for tests, in memory. With a fault it
// misbehaves, so that tests see whether the load generator notices.
package tiny
