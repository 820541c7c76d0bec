package limit

import (
	"fmt"
	"strconv"
	"strings"

	"cowrelay/cow/rate"
)

// Class is a kind of request that has a limit of its own.
type Class uint8

const (
	Allocate Class = iota
	Post
	Read
	Stream
	Meet // introductions, invites and pairs, which need no slot
	Other
	Handshake // of TLS, before there is a request
	Total     // all requests together, over all clients
	Classes
	Free // never limited
)

var names = [Classes]string{"allocate", "post", "read", "stream", "meet", "other", "handshake", "total"}

// Rates is how often clients may ask: each client for a class of requests, and
// all clients together for anything. A client is an IPv4 address or an IPv6 /64.
type Rates [Classes]rate.Limit

// DefaultRates are the contract's for allocations, and the same for what needs no
// slot either. The others stop a client that
// runs wild. They do not share the relay out: clients don't back off, and many may
// stand behind one address. 5,000 clients behind one address that poll every 5 s
// over fresh connections make 1,000 requests a second, and all of them come back
// at once after a restart. The total is what 250,000 such clients ask for, which is
// more than the relay has slots.
//
// Handshakes are as many as streams, so that all streams of an address can come back
// over TLS. At a millisecond each they take half a processor.
func DefaultRates() Rates {
	return Rates{
		Allocate:  rate.PerSecond(10, 50),
		Post:      rate.PerSecond(1000, 5000),
		Read:      rate.PerSecond(1000, 5000),
		Stream:    rate.PerSecond(500, 5000),
		Meet:      rate.PerSecond(10, 50),
		Other:     rate.PerSecond(200, 1000),
		Handshake: rate.PerSecond(500, 5000),
		Total:     rate.PerSecond(50_000, 100_000),
	}
}

// ParseRates reads limits such as "allocate=10/50,read=0": so many a second and
// so many at once after a rest, or 0 for no limit. A class that is not named keeps
// its default.
func ParseRates(text string) (Rates, error) {
	out := DefaultRates()
	var seen [Classes]bool
next:
	for _, item := range SplitList(text) {
		name, value, _ := strings.Cut(item, "=")
		for c, known := range names {
			if name != known {
				continue
			}
			limit, err := parseLimit(value)
			if err == nil && seen[c] {
				err = fmt.Errorf("it is there twice")
			}
			if err != nil {
				return out, fmt.Errorf("%s: %w", item, err)
			}
			out[c], seen[c] = limit, true
			continue next
		}
		return out, fmt.Errorf("%s: a limit is given as CLASS=RATE/BURST, such as post=1000/5000, or CLASS=0 for none; the classes are %s", item, strings.Join(names[:], ", "))
	}
	return out, nil
}

func parseLimit(text string) (rate.Limit, error) {
	const most = 1_000_000
	if text == "0" {
		return rate.Limit{}, nil
	}
	often, burst, _ := strings.Cut(text, "/")
	r, errR := strconv.ParseFloat(often, 64)
	n, errN := strconv.Atoi(burst)
	if errR != nil || errN != nil || !(r >= 0.001 && r <= most) || n < 1 || n > most {
		return rate.Limit{}, fmt.Errorf("a limit is given as CLASS=RATE/BURST, requests a second and at once from 0.001/1 to %[1]d/%[1]d, such as post=1000/5000, or as CLASS=0 for none", most)
	}
	return rate.PerSecond(r, n), nil
}
