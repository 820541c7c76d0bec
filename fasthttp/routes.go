package fasthttp

import (
	"bytes"

	"cowrelay/cow/event"
	"cowrelay/fasthttp/conn"
	"cowrelay/fasthttp/limit"
	"cowrelay/fasthttp/meet"
	"cowrelay/fasthttp/web"
)

var (
	routeHealthz   = &route{name: "healthz", get: method{(*Relay).serveHealthz, limit.Other}, unlimited: true}
	routeReadyz    = &route{name: "readyz", get: method{(*Relay).serveReadyz, limit.Other}, unlimited: true}
	routeStats     = &route{name: "stats", get: method{(*Relay).serveStats, limit.Other}}
	routeEither    = &route{name: "stats_either", get: method{(*Relay).serveStatsEither, limit.Other}}
	routeHistory   = &route{name: "stats_history", get: method{(*Relay).serveStatsHistory, limit.Other}}
	routeSeries    = &route{name: "stats_series", get: method{(*Relay).serveStatsSeries, limit.Other}}
	routeOpenAPI   = &route{name: "openapi", get: method{(*Relay).serveDescription, limit.Other}}
	routeAlloc     = &route{name: "allocate", post: method{(*Relay).serveAllocate, limit.Allocate}, maxBody: 16 << 10}
	routeEvents    = &route{name: "events", get: method{(*Relay).servePull, limit.Read}, post: method{(*Relay).servePost, limit.Post}, bearer: true, maxBody: event.MaxBodyBytes}
	routeStream    = &route{name: "stream", get: method{(*Relay).serveStream, limit.Stream}, bearer: true}
	routeSlot      = &route{name: "slot", delete: method{(*Relay).serveDelete, limit.Post}, bearer: true, evenBlocked: true}
	routeState     = &route{name: "state", get: method{(*Relay).serveState, limit.Read}, bearer: true, evenBlocked: true}
	routeHealth    = &route{name: "responder_health", post: method{(*Relay).serveHealth, limit.Post}, bearer: true, shapeFirst: true, maxBody: 64 << 10}
	routeClaim     = &route{name: "claim", post: method{(*Relay).serveClaim, limit.Post}, anyBearer: true, maxBody: meet.MaxClaimBody}
	routeUnclaim   = &route{name: "unclaim", delete: method{(*Relay).serveUnclaim, limit.Post}}
	routeHandles   = &route{name: "handles", get: method{(*Relay).serveHandles, limit.Other}}
	routeWhois     = &route{name: "whois", get: method{(*Relay).serveWhois, limit.Other}}
	routeA2A       = &route{name: "agent_card", get: method{(*Relay).serveAgentCard, limit.Other}}
	routeIntro     = &route{name: "intro", post: method{(*Relay).serveIntro, limit.Meet}, maxBody: event.MaxBodyBytes}
	routeRegister  = &route{name: "invite_register", post: method{(*Relay).serveRegister, limit.Meet}, maxBody: 64 << 10}
	routeInvite    = &route{name: "invite", get: method{(*Relay).serveInvite, limit.Other}}
	routePairs     = &route{name: "pairs", post: method{(*Relay).servePair, limit.Meet}, maxBody: 128 << 10}
	routePair      = &route{name: "pair", get: method{(*Relay).serveLook, limit.Other}}
	routeBootstrap = &route{name: "pair_bootstrap", post: method{(*Relay).serveBootstrap, limit.Meet}, maxBody: 64 << 10}
	routeAbandon   = &route{name: "pair_abandon", post: method{(*Relay).serveAbandon, limit.Meet}, maxBody: 64 << 10}
	routeLanding   = &route{name: "landing", get: method{(*Relay).serveLanding, limit.Other}}
	routeBoard     = &route{name: "dashboard", get: method{(*Relay).serveDashboard, limit.Other}}
	routeBook      = &route{name: "phonebook", get: method{(*Relay).servePhonebook, limit.Other}}
	routeAsset     = &route{name: "asset", get: method{(*Relay).serveAsset, limit.Other}}
	routeNone      = &route{name: "none"}

	routes = []*route{
		routeHealthz, routeReadyz, routeStats, routeEither, routeHistory, routeSeries, routeOpenAPI, routeAlloc, routeEvents,
		routeStream, routeSlot, routeState, routeHealth,
		routeClaim, routeUnclaim, routeHandles, routeWhois, routeA2A, routeIntro,
		routeRegister, routeInvite, routePairs, routePair, routeBootstrap, routeAbandon,
		routeLanding, routeBoard, routeBook, routeAsset, routeNone,
	}
)

func init() {
	// What agents on one machine need: their mailboxes, and how they meet. It shows
	// nobody to others.
	for _, rt := range []*route{routeHealthz, routeAlloc, routeEvents, routeStream, routeSlot, routeState, routeHealth, routeClaim, routeUnclaim, routeIntro, routePairs, routePair, routeBootstrap, routeAbandon} {
		rt.local = true
	}
	for i, rt := range routes {
		rt.index = i
		for _, m := range []struct {
			on   bool
			name string
		}{{rt.get.serve != nil, "GET, HEAD"}, {rt.post.serve != nil, "POST"}, {rt.delete.serve != nil, "DELETE"}} {
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
	prefixInvite = []byte("/i/")
	prefixPair   = []byte("/v1/pair/")
	prefixClaim  = []byte("/v1/handle/claim/")
	prefixIntro  = []byte("/v1/handle/intro/")
	schemeMark   = []byte("://")
)

// find matches the target of a request on the connection c, nil where there is none.
func (r *Relay) find(c *conn.Conn, target []byte) (rt *route, slot []byte) {
	rt, slot = findRoute(target)
	if !rt.local && (r.opts.LocalOnly || c != nil && c.Unix()) {
		return routeNone, nil
	}
	return rt, slot
}

// findRoute matches the path of a request target. Nothing is decoded: a slot id has
// one spelling. slot is the text where an id stands.
func findRoute(target []byte) (rt *route, slot []byte) {
	path := pathOf(target)
	switch string(path) {
	case "/":
		return routeLanding, nil
	case "/stats.html":
		return routeBoard, nil
	case "/phonebook", "/phonebook.html":
		return routeBook, nil
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
	case "/v1/handle/claim":
		return routeClaim, nil
	case "/v1/handles":
		return routeHandles, nil
	case "/.well-known/wire/agent":
		return routeWhois, nil
	case "/.well-known/agent-card.json":
		return routeA2A, nil
	case "/v1/invite/register":
		return routeRegister, nil
	case "/v1/pair":
		return routePairs, nil
	case "/v1/pair/abandon":
		return routeAbandon, nil
	}
	if rest, ok := bytes.CutPrefix(path, prefixClaim); ok && len(rest) > 0 {
		return routeUnclaim, nil // a text that is no nick is refused there
	}
	if rest, ok := bytes.CutPrefix(path, prefixIntro); ok && len(rest) > 0 && bytes.IndexByte(rest, '/') < 0 {
		return routeIntro, nil
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
	} else if rest, ok := bytes.CutPrefix(path, prefixPair); ok {
		id, sub, deep := bytes.Cut(rest, []byte{'/'})
		switch {
		case len(id) == 0:
		case !deep:
			return routePair, nil
		case string(sub) == "bootstrap":
			return routeBootstrap, nil
		}
	} else if rest, ok := bytes.CutPrefix(path, prefixInvite); ok {
		if len(rest) > 0 && bytes.IndexByte(rest, '/') < 0 {
			return routeInvite, nil
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
