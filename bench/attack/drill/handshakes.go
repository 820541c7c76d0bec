package drill

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"cowrelay/bench/attack/client"
	"cowrelay/bench/attack/relay"
)

// A shaker begins one TLS handshake after the other, and asks nothing. Safe for several
// goroutines.
type shaker struct {
	rate, burst   int // the class handshake of the relay's rate limits
	addresses     int
	done, refused atomic.Int64
}

// handshakesDrill has few addresses begin TLS handshakes without end. Each costs the
// relay as much as many requests. A proxy that the relay trusts tells the addresses: those
// of loopback have no limit. Honest clients speak no TLS: they are to find a processor.
var handshakesDrill = Drill{
	Name: "handshakes", what: "addresses that begin TLS handshakes one after the other",
	Variants: func(c Scale) []Variant {
		var out []Variant
		for _, addresses := range []int{1, otherIPs}[:c.Of(2, 1)] {
			s := &shaker{rate: c.Of(500, 5), burst: c.Of(5000, 20), addresses: addresses}
			out = append(out, Variant{
				Name: fmt.Sprintf("64 connections at once, %s", manyAddresses(addresses)),
				Relay: relay.Args{TLS: true, Flags: []string{
					"--proxy-protocol", "--trusted-proxies=" + client.ProxyIP.String(),
					fmt.Sprintf("--rate-limits=handshake=%d/%d", s.rate, s.burst),
				}},
				AtLeast: 15 * time.Second,
				Attack:  s.attack,
				During:  s.bar,
			})
		}
		return out
	},
}

func (s *shaker) attack(ctx context.Context, r *Scene, armed func()) error {
	s.done.Store(0)
	s.refused.Store(0)
	f := &fleet{n: dialsAtOnce, to: r.Relay.TLS, crowd: crowd{ip: func(int) net.IP { return client.ProxyIP }}, again: time.Millisecond}
	f.act = func(_ context.Context, c *net.TCPConn, i int, there func()) error {
		if _, err := fmt.Fprintf(c, "PROXY TCP4 192.0.2.%d 192.0.2.100 1 2\r\n", 1+i%s.addresses); err != nil {
			return err
		}
		err := tls.Client(c, &tls.Config{InsecureSkipVerify: true}).Handshake()
		if err != nil {
			s.refused.Add(1)
		} else {
			s.done.Add(1)
		}
		there()
		return err
	}
	f.run(ctx, armed)
	return nil
}

// bar checks that the addresses had no more handshakes than they may.
func (s *shaker) bar(_ context.Context, r *Scene) {
	done, refused := s.done.Load(), s.refused.Load()
	most := int64(s.addresses) * (int64(s.burst) + int64(s.rate)*int64(r.Lasted/time.Second+1))
	seen := fmt.Sprintf("%d handshakes, %d refused in %.0f s", done, refused, r.Lasted.Seconds())
	var err error
	// A slow machine does not reach the limits of the full size.
	if done == 0 || done > most || r.Short && refused == 0 {
		err = fmt.Errorf("%s, bound is %d", seen, most)
	}
	r.Bar("handshakes stay within their share", err, seen)
}
