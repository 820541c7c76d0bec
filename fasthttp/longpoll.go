package fasthttp

import (
	"net"
	"time"

	"cowrelay/cow"
	"cowrelay/fasthttp/poll"
	"cowrelay/fasthttp/refusal"
)

// await fills w as soon as there is something to pull. It leaves it empty after
// the time that the client gives, when the client leaves, when the relay drains,
// or when the poll has to give way to another.
func (r *Relay) await(req request, q pullQuery, w *cow.Window) error {
	req.slot.MarkPulled(time.Now())
	var tcp *net.TCPConn
	if req.conn != nil {
		tcp = req.conn.TCPConn
	}
	p, err := r.polls.Open(req.slot, r.clientOf(req), tcp)
	if err == poll.ErrFull {
		return refusal.ManyPolls
	}
	if err != nil {
		return err
	}
	end := poll.EndError
	defer func() { p.Close(end) }() // also after a panic
	end, err = p.Await(q.wait, r.drain, func() (bool, error) {
		if err := r.store.Window(req.slot, q.since, q.limit, w); err != nil || w.Events() > 0 {
			return err == nil, err
		}
		if req.slot.Blocked() {
			return false, refusal.Blocked
		}
		return false, nil
	})
	return err
}
