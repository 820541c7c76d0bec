package fasthttp

import (
	"net"
	"sync/atomic"
	"testing"

	"cowrelay/fasthttp/conn"
)

// What limits add to the routing and authentication of a poll, which takes
// some 11 µs of CPU in all: to a client on loopback, the same where there are
// proxies, and one that a proxy speaks for.
func BenchmarkAdmit(b *testing.B) {
	const everyone = "read=1000000/1000000,total=1000000/1000000"
	for _, c := range []struct {
		name, limits, header string
		proxies              bool
	}{
		{"loopback", everyone, "", false},
		{"loopback/proxies", everyone, "", true},
		{"forwarded/limits=off", "read=0,total=0", "X-Forwarded-For: 192.0.2.1\n", true},
		{"forwarded/limits=on", everyone, "X-Forwarded-For: 192.0.2.1\n", true},
	} {
		b.Run(c.name, func(b *testing.B) {
			var clock atomic.Int64
			g := newRig(b, behindProxy(&clock, c.limits), func(o *rigOptions) {
				o.relay.now = nil
				if !c.proxies {
					o.relay.TrustedProxies = nil
				}
			})
			m := g.allocate()
			h := headerOf(b, "Host: x\nAuthorization: Bearer "+m.token+"\n"+c.header)
			h.SetRequestURI("/v1/events/" + m.id + "?since=x&limit=5")
			tcp, err := net.Dial("tcp", g.addr)
			if err != nil {
				b.Fatal(err)
			}
			defer tcp.Close()
			req := request{conn: g.relay.conns.Open(tcp.(*net.TCPConn), conn.Prologue{})}
			b.ReportAllocs()
			for b.Loop() {
				req.startNs += 1000
				if _, refused := g.relay.admit(h, &req); refused != nil {
					b.Fatal(refused)
				}
			}
		})
	}
}
