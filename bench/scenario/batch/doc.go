// Package batch has the loads of posts that carry many events.
//
//	batch      batches from 1, 16 and 64 connections
//	post-file  the lines of a file, by the command `cowrelay post --file`
//
// Both count events. Their latencies are of whole requests, or of whole files.
// Batches beside single posts are in package saturation.
package batch
