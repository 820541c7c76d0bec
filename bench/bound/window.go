package bound

import (
	"github.com/valyala/fasthttp"

	"cowrelay/bench/wire"
)

// newWindow serves slices of one buffer that holds count events, each with a
// comma behind it. A window is cut with the byte before its first event and the
// byte after its last. So it has as many bytes as a JSON array, but commas
// where the brackets would be.
func newWindow(t *wire.Template, count, page int) fasthttp.RequestHandler {
	step := t.Size() + 1
	buf := make([]byte, 0, 1+count*step)
	buf = append(buf, '[')
	for n := range count {
		buf = append(t.AppendEvent(buf, uint64(n)), ',')
	}
	if count > 0 {
		buf[len(buf)-1] = ']'
	}
	return func(ctx *fasthttp.RequestCtx) {
		first := 0
		if id := ctx.QueryArgs().Peek("since"); len(id) == t.IDLen {
			n, _ := wire.ParseHex(id[t.IDLen-wire.CounterDigits:])
			first = min(int(n)+1, count)
		}
		last := min(first+page, count)
		ctx.SetContentType(jsonType)
		ctx.Response.SetBodyRaw(buf[first*step : last*step+1])
	}
}
