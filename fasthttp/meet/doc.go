// Package meet is the JSON of claims, the directory, introductions, invites and
// pairs: it reads bodies, asks package rendezvous, and makes the bodies of replies.
//
// It knows no HTTP server.
package meet
