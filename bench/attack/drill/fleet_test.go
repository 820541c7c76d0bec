package drill

import (
	"context"
	"net"
	"testing"
	"time"
)

// A fleet's connections come, come again after they were cut, and leave.
func TestFleet(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	from := make(chan string, 100)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
			from <- host
			c.Close()
		}
	}()
	ctx, cancel := context.WithCancel(t.Context())
	armed := make(chan struct{})
	done := make(chan struct{})
	f := &fleet{n: 3, to: l.Addr().String(), crowd: atFew, again: 10 * time.Millisecond}
	f.act = func(_ context.Context, c *net.TCPConn, _ int, there func()) error {
		there()
		return listen(c)
	}
	go func() {
		defer close(done)
		f.run(ctx, func() { close(armed) })
	}()
	<-armed
	seen := map[string]int{}
	for range 12 { // four times each
		seen[<-from]++
	}
	cancel()
	<-done
	if len(seen) != 3 || seen["127.0.0.2"] == 0 {
		t.Errorf("came from %v", seen)
	}
}
