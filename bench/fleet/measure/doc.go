// Package measure measures three relays on one log: posts by turns with bare
// publishes to the same servers, batches, pulls beside a relay with a journal of its
// own, cold slots, replay, and how soon an event is seen on another relay.
package measure
