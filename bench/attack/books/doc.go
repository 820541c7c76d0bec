// Package books reads what a relay says about itself on its admin listener: its
// metrics, and its memory. The books compare the memory that the relay counts
// with the heap that lives.
package books
