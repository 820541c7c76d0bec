// Package call sends requests to relays as a client does, and records each with its
// begin, its end and what was answered. It knows nothing of journals.
package call
