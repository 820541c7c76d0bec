package fasthttp

// shareOf is how many of limit streams or long polls one client may have: half
// of them, so that no single one can leave nothing to the others.
func shareOf(limit int) int64 { return (int64(limit) + 1) / 2 }

// clientOf is whose request it is, for whoever shares something out. All who
// come by another way than TCP are one client.
func (r *Relay) clientOf(req request) clientKey {
	if req.conn == nil {
		return 0
	}
	return r.clientKey(req.conn, &req.ctx.Request.Header)
}
