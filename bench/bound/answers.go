package bound

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/valyala/fasthttp"

	"cowrelay/bench/wire"
)

const jsonType = "application/json"

// setupFirst answers what the set-up of a scenario asks for, which is readiness
// and allocations, and passes on the rest. It compares nothing but the length
// of the path: that is all it adds to a measured request.
func setupFirst(next fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		switch len(ctx.Path()) {
		case len("/readyz"):
			ctx.SetBodyString("ok\n")
		case len("/v1/slot/allocate"):
			answerSlot(ctx)
		default:
			next(ctx)
		}
	}
}

// answerSlot answers an allocation with an id and a token of the right shape.
func answerSlot(ctx *fasthttp.RequestCtx) {
	id := hex.EncodeToString(make([]byte, 16))
	ctx.SetStatusCode(fasthttp.StatusCreated)
	ctx.SetContentType(jsonType)
	fmt.Fprintf(ctx, `{"slot_id":"%s","slot_token":"%s%s"}`, id, id, id)
}

const (
	storedHead = `{"event_id":"`
	storedTail = `","status":"stored"}`
)

// answerStored answers a post as the relay does. It copies the id from its
// fixed place in the body.
func answerStored(ctx *fasthttp.RequestCtx, t *wire.Template) {
	var id []byte
	if b, at := ctx.PostBody(), len(wire.PostOpen)+t.IDAt; len(b) >= at+t.IDLen {
		id = b[at : at+t.IDLen]
	}
	ctx.SetStatusCode(fasthttp.StatusCreated)
	ctx.SetContentType(jsonType)
	ctx.Response.AppendBodyString(storedHead)
	ctx.Response.AppendBody(id)
	ctx.Response.AppendBodyString(storedTail)
}

// answerLines answers a post of several events as the relay does. All events have
// one size, so it counts none. A post of one event is answered as such.
func answerLines(ctx *fasthttp.RequestCtx, t *wire.Template) {
	b := ctx.PostBody()
	if bytes.HasPrefix(b, []byte(wire.PostOpen)) {
		answerStored(ctx, t)
		return
	}
	ctx.SetStatusCode(fasthttp.StatusCreated)
	ctx.SetContentType(jsonType)
	ctx.Response.AppendBodyString(`{"stored":`)
	ctx.Response.AppendBodyString(strconv.Itoa(len(b) / (t.Size() + 1)))
	ctx.Response.AppendBodyString(`,"duplicates":0,"next":0}`)
}
