// Package pebblelog keeps slots and records in a Pebble store: the journal of
// a relay that has a disk of its own.
package pebblelog
