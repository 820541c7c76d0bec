package fasthttp

import (
	"bytes"

	"cowrelay/cow"
	"cowrelay/cow/event"
	"cowrelay/fasthttp/refusal"
	"cowrelay/fasthttp/web"

	"github.com/valyala/fasthttp"
)

// route is one row of the table of paths. Its name is the label of its
// metrics.
type route struct {
	name   string
	get    func(*Relay, request) error
	post   func(*Relay, request) error
	delete func(*Relay, request) error
	bearer bool
	// shapeFirst answers 400 for a slot id that is none, before anything else.
	shapeFirst bool
	// evenBlocked serves slots that the operator has blocked.
	evenBlocked bool
	// maxBody is the most bytes of a post's body, 0 where there is none.
	maxBody int
	allow   string
	index   int // in routes
}

// request is what routing and authentication found out about a request.
type request struct {
	ctx      *fasthttp.RequestCtx
	route    *route
	slot     *cow.Slot
	head     bool
	conn     *conn // nil where it is not ours
	early    bool  // only the header is there
	withheld bool  // the header said that the body is not to be read
	start    int64 // on the store's clock
}

var (
	routeHealthz = &route{name: "healthz", get: (*Relay).serveHealthz}
	routeReadyz  = &route{name: "readyz", get: (*Relay).serveReadyz}
	routeStats   = &route{name: "stats", get: (*Relay).serveStats}
	routeEither  = &route{name: "stats_either", get: (*Relay).serveStatsEither}
	routeHistory = &route{name: "stats_history", get: (*Relay).serveStatsHistory}
	routeSeries  = &route{name: "stats_series", get: (*Relay).serveStatsSeries}
	routeOpenAPI = &route{name: "openapi", get: (*Relay).serveDescription}
	routeAlloc   = &route{name: "allocate", post: (*Relay).serveAllocate, maxBody: 16 << 10}
	routeEvents  = &route{name: "events", get: (*Relay).servePull, post: (*Relay).servePost, bearer: true, maxBody: event.MaxBodyBytes}
	routeStream  = &route{name: "stream", get: (*Relay).serveStream, bearer: true}
	routeSlot    = &route{name: "slot", delete: (*Relay).serveDelete, bearer: true, evenBlocked: true}
	routeState   = &route{name: "state", get: (*Relay).serveState, bearer: true, evenBlocked: true}
	routeHealth  = &route{name: "responder_health", post: (*Relay).serveHealth, bearer: true, shapeFirst: true, maxBody: 64 << 10}
	routeLanding = &route{name: "landing", get: (*Relay).serveLanding}
	routeBoard   = &route{name: "dashboard", get: (*Relay).serveDashboard}
	routeAsset   = &route{name: "asset", get: (*Relay).serveAsset}
	routeNone    = &route{name: "none"}

	routes = []*route{
		routeHealthz, routeReadyz, routeStats, routeEither, routeHistory, routeSeries, routeOpenAPI, routeAlloc, routeEvents,
		routeStream, routeSlot, routeState, routeHealth,
		routeLanding, routeBoard, routeAsset, routeNone,
	}
)

func init() {
	for i, rt := range routes {
		rt.index = i
		for _, m := range []struct {
			on   bool
			name string
		}{{rt.get != nil, "GET, HEAD"}, {rt.post != nil, "POST"}, {rt.delete != nil, "DELETE"}} {
			if m.on {
				if rt.allow != "" {
					rt.allow += ", "
				}
				rt.allow += m.name
			}
		}
	}
}

// routeNames are the routes' names, by index.
func routeNames() (names []string) {
	for _, rt := range routes {
		names = append(names, rt.name)
	}
	return names
}

var (
	prefixEvents = []byte("/v1/events/")
	prefixSlot   = []byte("/v1/slot/")
	schemeMark   = []byte("://")
)

// findRoute matches the path of a request target, as it was sent: a slot id has
// one spelling, so nothing is decoded. slot is the text where an id stands.
func findRoute(target []byte) (rt *route, slot []byte) {
	path := pathOf(target)
	switch string(path) {
	case "/":
		return routeLanding, nil
	case "/stats.html":
		return routeBoard, nil
	case "/healthz":
		return routeHealthz, nil
	case "/readyz":
		return routeReadyz, nil
	case "/stats.json":
		return routeStats, nil
	case "/stats":
		return routeEither, nil
	case "/stats.history":
		return routeHistory, nil
	case "/stats.series":
		return routeSeries, nil
	case "/openapi.yaml":
		return routeOpenAPI, nil
	case "/v1/slot/allocate":
		return routeAlloc, nil
	}
	if rest, ok := bytes.CutPrefix(path, prefixEvents); ok {
		slot, sub, deep := bytes.Cut(rest, []byte{'/'})
		switch {
		case len(slot) == 0:
		case !deep:
			return routeEvents, slot
		case string(sub) == "stream":
			return routeStream, slot
		}
	} else if rest, ok := bytes.CutPrefix(path, prefixSlot); ok {
		slot, sub, deep := bytes.Cut(rest, []byte{'/'})
		switch {
		case len(slot) == 0:
		case !deep:
			return routeSlot, slot
		case string(sub) == "state":
			return routeState, slot
		case string(sub) == "responder-health":
			return routeHealth, slot
		}
	} else if web.Asset(path) != nil {
		return routeAsset, nil
	}
	return routeNone, nil
}

// pathOf returns the path of a request target, empty if it has none.
func pathOf(target []byte) []byte {
	path, _, _ := bytes.Cut(target, []byte{'?'})
	path, _, _ = bytes.Cut(path, []byte{'#'})
	if len(path) > 0 && path[0] != '/' { // absolute form
		i := bytes.Index(path, schemeMark)
		if i < 0 {
			return nil
		}
		path = path[i+len(schemeMark):]
		if i = bytes.IndexByte(path, '/'); i < 0 {
			return nil
		}
		path = path[i:]
	}
	// A client whose base URL ends in a slash sends //v1/...
	for len(path) > 1 && path[1] == '/' {
		path = path[1:]
	}
	return path
}

// method returns the handler of the route for the request's method.
func (rt *route) method(h *fasthttp.RequestHeader) func(*Relay, request) error {
	switch {
	case h.IsGet(), h.IsHead():
		return rt.get
	case h.IsPost():
		return rt.post
	case h.IsDelete():
		return rt.delete
	}
	return nil
}

// admit limits, routes and authenticates by the header alone. It returns the handler,
// or the reply that the request gets whatever its body holds.
func (r *Relay) admit(h *fasthttp.RequestHeader, req *request) (func(*Relay, request) error, *refusal.Reply) {
	rt, text := findRoute(h.RequestURI())
	req.route = rt
	if refused := r.limited(req, h); refused != nil {
		return nil, refused
	}
	if r.live.Load().preflight(h) {
		return (*Relay).servePreflight, nil
	}
	if rt == routeNone {
		return nil, refusal.NotFound
	}
	serve := rt.method(h)
	if serve == nil {
		return nil, &refusal.Reply{Status: fasthttp.StatusMethodNotAllowed, Text: "method not allowed", Allow: rt.allow}
	}
	req.head = h.IsHead()
	if rt.bearer {
		id, isID := cow.ParseID(text)
		if rt.shapeFirst && !isID {
			return nil, refusal.SlotShape
		}
		token := bearer(h)
		if len(token) == 0 {
			return nil, refusal.NoBearer
		}
		if isID {
			req.slot = r.store.Slot(id)
		}
		if req.slot == nil {
			return nil, refusal.UnknownSlot
		}
		if !req.slot.Authorize(cow.HashToken(token)) {
			return nil, refusal.WrongToken
		}
		if req.slot.Blocked() && !rt.evenBlocked {
			return nil, refusal.Blocked
		}
	}
	if h.IsPost() {
		if !refusal.IsJSON(h.ContentType()) {
			return nil, refusal.ContentType
		}
		if h.ContentLength() > rt.maxBody || req.withheld { // withheld for nothing else: all else is refused above
			return nil, refusal.BodyTooLarge
		}
	}
	return serve, nil
}

// bearer returns the token of the Authorization header, or nothing.
func bearer(h *fasthttp.RequestHeader) []byte {
	const scheme = "bearer "
	v := h.Peek(fasthttp.HeaderAuthorization)
	if len(v) < len(scheme) || !bytes.EqualFold(v[:len(scheme)], []byte(scheme)) {
		return nil
	}
	return bytes.TrimSpace(v[len(scheme):])
}
