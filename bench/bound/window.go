package bound

import (
	"github.com/valyala/fasthttp"

	"cowrelay/bench/wire"
)

// newWindow serves raw slices of one buffer that holds count events, each
// followed by a comma. A window begins with the byte before its first event
// and ends with the one after its last: as many bytes as a JSON array, though
// a comma stands where the brackets would.
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
		if id := ctx.QueryArgs().Peek("since"); len(id) == t.IdLen {
			n, _ := wire.ParseHex(id[t.IdLen-wire.CounterDigits:])
			first = min(int(n)+1, count)
		}
		last := min(first+page, count)
		ctx.SetContentType(jsonType)
		ctx.Response.SetBodyRaw(buf[first*step : last*step+1])
	}
}
