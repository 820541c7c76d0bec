// Package client is HTTP as honest clients and attackers speak it here: from
// addresses of their own, over fresh connections or kept ones, and with events
// that can be recognized.
package client
