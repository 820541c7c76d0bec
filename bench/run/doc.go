// Package run runs variants: what is measured, on which servers, and in which
// order.
//
// A Variant is one load of a scenario, and comes to a line of output. For each,
// All
//
//  1. makes a folder, and starts the relay and the bound, or a peer in its
//
// place,
//  2. opens both sides once: slots are made and filled,
//  3. runs the rounds of both by turns,
//  4. compares them, stops the servers and removes the folder.
//
// A variant with a Drive does steps 2 and 3 itself. The variants are in package
// scenario, and those beside peers in package peer.
package run
