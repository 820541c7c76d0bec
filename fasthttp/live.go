package fasthttp

// Live is the part of Options that may change while the relay serves.
type Live struct {
	MaxStreams int  // streams open at once (50,000)
	MaxWaiters int  // long polls that wait at once (4,096)
	AccessLog  bool // log every request
}

func (l *Live) setDefaults() {
	def(&l.MaxStreams, 50_000)
	def(&l.MaxWaiters, 4096)
}

// SetLive changes what may change. Streams and long polls beyond a lower limit
// go on; new ones wait until there is room. A zero field takes its default.
func (r *Relay) SetLive(l Live) {
	l.setDefaults()
	// Publish: pairs with the Loads along requests. What was published is never
	// written again.
	r.live.Store(&l)
}
