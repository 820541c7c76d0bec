package conn

import (
	"errors"
	"sync/atomic"
	"time"

	"cowrelay/cow/share"
	"cowrelay/fasthttp/accept"
)

// ErrNoRoom is what a read returns of a request that there is no memory for. The
// connection is of no use then.
var ErrNoRoom = errors.New("no memory for what is arriving")

// arriving is where the request of a connection stands that is arriving. Fields
// belong to the goroutine that serves the connection, unless they are atomic.
type arriving struct {
	socket accept.Socket
	peer   accept.Client // at the other end

	begun  bool     // its first byte is there, and its header is not
	inBody bool     // its header is there, and a body is wanted
	lines  int      // of its header, as far as it matters
	loose  bool     // it is counted and not booked; see Arrivals
	booked *arrival // what it has booked, or nil
	// cut is set when the request has no room. Pairs with the Loads in Conn.Read,
	// WasCut and find.
	cut atomic.Bool
}

// arrival is what a request that is arriving has booked. It is for one request
// alone, so that whoever makes room can give back for it at any time.
type arrival struct {
	holder share.Holder[accept.Client]
	on     *arriving
	client accept.Client
	bytes  int64 // booked; the goroutine's that serves the connection
	since  int64 // nanoseconds, when it was booked
	// gotBytes were read since. Added by the goroutine that serves the connection;
	// pairs with the Load in victim.
	gotBytes atomic.Int64
	// head is true while the header is not there as a whole. Set by the goroutine
	// that serves the connection; pairs with the Load in victim.
	head atomic.Bool
}

// giveWay ends the request: whoever reads it gets ErrNoRoom, now or with the next
// read. First the mark, then the deadline: Conn.Read sets its own deadline first
// and looks at the mark second.
func (v *arrival) giveWay() {
	v.on.cut.Store(true)
	v.on.socket.SetReadDeadline(time.Unix(1, 0))
}
