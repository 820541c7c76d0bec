package drill

import (
	"context"
	"net"
	"sync"
	"syscall"
	"time"

	"cowrelay/bench/attack/client"
	"cowrelay/bench/wire"
)

// A fleet is the connections of an attack.
type fleet struct {
	n  int
	to string // host:port
	crowd
	// receive is the size of each socket's receive buffer in bytes; 0: the
	// system's.
	receive int
	// rate is how many connections are made a second; 0: comeRate.
	rate int
	// again is how long after its end a connection is made anew; 0: never.
	again time.Duration
	// act attacks on connection i, until ctx or the connection ends. It calls
	// there when it has taken what it came for.
	act func(ctx context.Context, c *net.TCPConn, i int, there func()) error
}

// comeRate is how many connections come a second, unless the drill says otherwise.
// againAfter is for drills whose connections come again after they were cut.
const (
	comeRate   = 1000
	againAfter = 5 * time.Second
)

// dialsAtOnce is how many connections are being made at once, at most.
const dialsAtOnce = 64

// run has all connections act until ctx ends. It calls armed once, when each
// has taken what it came for or has failed to. It returns when all are closed.
func (f *fleet) run(ctx context.Context, armed func()) {
	var wg, coming sync.WaitGroup
	dials := make(chan struct{}, dialsAtOnce)
	coming.Add(f.n)
	rate, began := f.rate, time.Now()
	if rate == 0 {
		rate = comeRate
	}
	for i := range f.n {
		wg.Go(func() {
			there := sync.OnceFunc(coming.Done)
			defer there()
			if !client.Pause(ctx, time.Until(began.Add(time.Duration(i)*time.Second/time.Duration(rate)))) {
				return
			}
			for {
				_ = f.one(ctx, i, dials, there) // why it ended does not matter
				there()
				if f.again == 0 || !client.Pause(ctx, f.again) {
					return
				}
			}
		})
	}
	coming.Wait()
	armed()
	wg.Wait()
}

// one makes one connection and acts on it until that ends.
func (f *fleet) one(ctx context.Context, i int, dials chan struct{}, there func()) error {
	select {
	case dials <- struct{}{}:
	case <-ctx.Done():
		return nil
	}
	c, err := f.dial(ctx, i)
	<-dials
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	return f.act(ctx, c, i, there)
}

func (f *fleet) dial(ctx context.Context, i int) (*net.TCPConn, error) {
	d := net.Dialer{Timeout: 10 * time.Second, KeepAlive: -1, LocalAddr: &net.TCPAddr{IP: f.ip(i)}}
	d.ControlContext = func(ctx context.Context, network, address string, c syscall.RawConn) error {
		if f.receive > 0 {
			if err := c.Control(func(fd uintptr) {
				_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, f.receive)
			}); err != nil {
				return err
			}
		}
		return wire.BindNoPort(ctx, network, address, c)
	}
	c, err := d.DialContext(ctx, "tcp", f.to)
	if err != nil {
		return nil, err
	}
	tc := c.(*net.TCPConn)
	// Close sends a reset, so that the port is free at once.
	if err := tc.SetLinger(0); err != nil {
		tc.Close()
		return nil, err
	}
	return tc, nil
}

// listen reads until the connection ends, and returns why.
func listen(c *net.TCPConn) error {
	var b [4096]byte
	for {
		if _, err := c.Read(b[:]); err != nil {
			return err
		}
	}
}

// join runs attacks side by side. It calls armed when all are armed.
func join(attacks ...Attack) Attack {
	return func(ctx context.Context, r *Scene, armed func()) error {
		var wg, arming sync.WaitGroup
		var mu sync.Mutex
		var first error
		arming.Add(len(attacks))
		for _, a := range attacks {
			wg.Go(func() {
				once := sync.OnceFunc(arming.Done)
				defer once()
				if err := a(ctx, r, once); err != nil {
					mu.Lock()
					defer mu.Unlock()
					if first == nil {
						first = err
					}
				}
			})
		}
		arming.Wait()
		armed()
		wg.Wait()
		return first
	}
}
