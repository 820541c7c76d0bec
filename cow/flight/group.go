package flight

import "time"

// Group shares the loads of one kind of thing. Its flights run in its pool.
//
//	Wait, Start --> is there a flight for the key? --yes--> wait for it, or be called
//	                            |                                  ^
//	                            no --> start one: turn --> load ---'
//
// A load that failed is forgotten, as one that succeeded is: the next request loads
// again.
type Group[K comparable, V any] struct {
	pool    *Pool
	flights map[K]*flight[V] // guarded by pool.mu
}

// flight is one load and all who wait for it.
type flight[V any] struct {
	*ticket
	done  chan struct{} // closed when value and err are set
	value V
	err   error
	then  []func(V, error) // guarded by Pool.mu
}

// NewGroup returns a group without flights.
func NewGroup[K comparable, V any](p *Pool) *Group[K, V] {
	return &Group[K, V]{pool: p, flights: make(map[K]*flight[V])}
}

// Wait returns what load returns, which reads about so many bytes. It calls load unless
// a load for the key is under way. It gives up when it took too long, when the pool is
// stopped, and with Limits.Closed when by.Ended is closed. The load goes on then.
func (g *Group[K, V]) Wait(key K, bytes int64, load func() (V, error), by By) (none V, err error) {
	p := g.pool
	if err := p.wait(); err != nil {
		return none, err
	}
	defer p.leave()
	f := g.join(key, bytes, load, nil, by.Client)
	timer := time.NewTimer(p.limits.Timeout)
	defer timer.Stop()
	select {
	case <-f.done:
		return f.value, f.err
	case <-timer.C:
		return none, p.Refuse()
	case <-p.closing:
	case <-by.Ended:
	}
	return none, p.limits.Closed
}

// Start does the same without waiting: then is called with the result. In a pool
// that is stopped it is called before Start returns, else on another goroutine.
func (g *Group[K, V]) Start(key K, bytes int64, load func() (V, error), then func(V, error), client uint64) {
	g.join(key, bytes, load, then, client)
}

// join finds or starts the flight for key.
func (g *Group[K, V]) join(key K, bytes int64, load func() (V, error), then func(V, error), client uint64) *flight[V] {
	p := g.pool
	p.mu.Lock()
	f := g.flights[key]
	if f == nil {
		f = &flight[V]{done: make(chan struct{})}
		if p.closed {
			p.mu.Unlock()
			f.err = p.limits.Closed
			close(f.done)
			if then != nil {
				then(f.value, f.err)
			}
			return f
		}
		f.ticket = p.ticketFor(bytes, client)
		g.flights[key] = f
		p.wg.Go(func() { g.run(key, f, load) })
	}
	if !f.over {
		p.lines.add(f.ticket, client)
	}
	if then != nil {
		f.then = append(f.then, then)
	}
	p.mu.Unlock()
	return f
}

// run is the goroutine of a flight.
func (g *Group[K, V]) run(key K, f *flight[V], load func() (V, error)) {
	p := g.pool
	if f.err = p.turn(f.ticket); f.err == nil {
		func() {
			defer p.endTurn()
			f.value, f.err = load()
		}()
	}
	p.mu.Lock()
	delete(g.flights, key)
	then := f.then
	p.mu.Unlock()
	close(f.done)
	for _, t := range then {
		t(f.value, f.err)
	}
}
