package natstest

import (
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// Ports that FreeAddr gives.
const (
	lowestPort = 12000
	ports      = 19000
)

func randomPort() int { return rand.IntN(ports) }

// Proxy passes TCP connections on to another address, or does not. All methods may be
// called concurrently.
type Proxy struct {
	target string
	l      net.Listener
	wg     sync.WaitGroup // of the goroutines accept and copy

	mu     sync.Mutex
	conns  map[net.Conn]struct{} // guarded by mu: both sides of all connections
	cut    bool                  // guarded by mu: refuse
	delay  time.Duration         // guarded by mu: of each piece, each way
	hole   chan struct{}         // guarded by mu: closed while pieces pass; open: they wait
	closed bool                  // guarded by mu
}

// NewProxy listens on loopback and passes on to target.
func NewProxy(target string) (*Proxy, error) {
	var l net.Listener
	for try := 0; ; try++ {
		addr, err := FreeAddr()
		if err != nil {
			return nil, err
		}
		if l, err = net.Listen("tcp", addr); err == nil {
			break
		} else if try > 10 {
			return nil, err
		}
	}
	p := &Proxy{target: target, l: l, conns: make(map[net.Conn]struct{}), hole: make(chan struct{})}
	close(p.hole)
	p.wg.Add(1)
	go p.accept()
	return p, nil
}

// Addr is where the proxy listens.
func (p *Proxy) Addr() string { return p.l.Addr().String() }

// Cut breaks all connections and refuses new ones until Mend.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	for c := range p.conns {
		c.Close()
	}
}

// Blackhole lets connections live, and nothing pass, until Mend. What was under way
// passes then.
func (p *Proxy) Blackhole() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.hole:
		p.hole = make(chan struct{})
	default:
	}
}

// Delay makes each piece wait, each way. 0 ends it.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	p.delay = d
	p.mu.Unlock()
}

// Mend ends Cut, Blackhole and Delay.
func (p *Proxy) Mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut, p.delay = false, 0
	p.mend()
}

// mend opens the hole. mu is held.
func (p *Proxy) mend() {
	select {
	case <-p.hole:
	default:
		close(p.hole)
	}
}

// Close ends all connections and waits for the goroutines.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mend()
	for c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	err := p.l.Close()
	p.wg.Wait()
	return err
}

// add keeps connections, unless none are to be.
func (p *Proxy) add(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut || p.closed {
		return false
	}
	for _, c := range conns {
		p.conns[c] = struct{}{}
	}
	return true
}

func (p *Proxy) remove(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		c.Close()
		delete(p.conns, c)
	}
}

func (p *Proxy) accept() {
	defer p.wg.Done()
	for {
		near, err := p.l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		} else if err != nil {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		if !p.add(near) {
			near.Close()
			continue
		}
		p.wg.Add(1)
		go p.serve(near)
	}
}

func (p *Proxy) serve(near net.Conn) {
	defer p.wg.Done()
	defer p.remove(near)
	if !p.pass() {
		return
	}
	far, err := net.DialTimeout("tcp", p.target, 2*time.Second)
	if err != nil {
		return
	}
	if !p.add(far) {
		far.Close()
		return
	}
	defer p.remove(far)
	back := make(chan struct{})
	go func() {
		defer close(back)
		p.copy(near, far)
	}()
	p.copy(far, near)
	p.remove(near, far)
	<-back
}

// pass waits for the hole and the delay. It is false when the proxy closes.
func (p *Proxy) pass() bool {
	for {
		p.mu.Lock()
		hole, delay, closed := p.hole, p.delay, p.closed
		p.mu.Unlock()
		if closed {
			return false
		}
		select {
		case <-hole:
			time.Sleep(delay)
			p.mu.Lock()
			same := p.hole == hole
			p.mu.Unlock()
			if same {
				return true
			}
		case <-time.After(time.Second):
		}
	}
}

// copy passes on one way until an end breaks.
func (p *Proxy) copy(to, from net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if !p.pass() {
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				from.Close()
				return
			}
		}
		if err != nil {
			to.Close()
			return
		}
	}
}
