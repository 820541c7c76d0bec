package fasthttp

import (
	"bytes"
	"context"
	"runtime/pprof"

	"cowrelay/cow/event"
	"cowrelay/cow/token"
	"cowrelay/fasthttp/conn"
	"cowrelay/fasthttp/keys"
	"cowrelay/fasthttp/limit"
	"cowrelay/fasthttp/manual"
	"cowrelay/fasthttp/meet"
	"cowrelay/fasthttp/stats"
	"cowrelay/fasthttp/web"
)

var (
	routeHealthz   = &route{name: "healthz", get: method{serve: (*Relay).serveHealthz, class: limit.Other}, unlimited: true}
	routeReadyz    = &route{name: "readyz", get: method{serve: (*Relay).serveReadyz, class: limit.Other}, unlimited: true}
	routeStats     = &route{name: "stats", get: method{serve: (*Relay).serveStats, class: limit.Other}}
	routeEither    = &route{name: "stats_either", get: method{serve: (*Relay).serveStatsEither, class: limit.Other, also: []int{304}}}
	routeHistory   = &route{name: "stats_history", get: method{serve: (*Relay).serveStatsHistory, class: limit.Other}}
	routeSeries    = &route{name: "stats_series", get: method{serve: (*Relay).serveStatsSeries, class: limit.Other}}
	routeOpenAPI   = &route{name: "openapi", get: method{serve: (*Relay).serveDescription, class: limit.Other, also: []int{304}}}
	routeAlloc     = &route{name: "allocate", post: method{serve: (*Relay).serveAllocate, class: limit.Allocate, also: []int{507}}, maxBody: 16 << 10}
	routeEvents    = &route{name: "events", get: method{serve: (*Relay).servePull, class: limit.Read, needs: token.Read, ticket: true}, post: method{serve: (*Relay).servePost, class: limit.Post, also: []int{200, 507}, needs: token.Post}, lines: (*Relay).servePostLines, bearer: true, maxBody: event.MaxBodyBytes}
	routeStream    = &route{name: "stream", get: method{serve: (*Relay).serveStream, class: limit.Stream, needs: token.Read, ticket: true}, bearer: true}
	routeSlot      = &route{name: "slot", delete: method{serve: (*Relay).serveDelete, class: limit.Post, also: []int{507}, needs: token.Owner}, bearer: true, evenBlocked: true}
	routeState     = &route{name: "state", get: method{serve: (*Relay).serveState, class: limit.Read, needs: token.Read}, bearer: true, evenBlocked: true}
	routeHealth    = &route{name: "responder_health", post: method{serve: (*Relay).serveHealth, class: limit.Post, also: []int{200, 507}, needs: token.Slot}, bearer: true, shapeFirst: true, maxBody: 64 << 10}
	routeTokens    = &route{name: "tokens", get: method{serve: (*Relay).serveTokens, class: limit.Read, needs: token.Owner, evenBlocked: true}, post: method{serve: (*Relay).serveMakeToken, class: limit.Post, also: []int{409, 507}, needs: token.Slot}, bearer: true, maxBody: keys.MaxBody}
	routeToken     = &route{name: "token", delete: method{serve: (*Relay).serveRevoke, class: limit.Post, needs: token.Owner}, bearer: true, evenBlocked: true}
	routeRotate    = &route{name: "token_rotate", post: method{serve: (*Relay).serveRotate, class: limit.Post, also: []int{507}, needs: token.Owner}, bearer: true, evenBlocked: true, noBody: true, maxBody: keys.MaxBody}
	routeClaim     = &route{name: "claim", post: method{serve: (*Relay).serveClaim, class: limit.Post, also: []int{404, 409, 507}}, anyBearer: true, maxBody: meet.MaxClaimBody}
	routeUnclaim   = &route{name: "unclaim", delete: method{serve: (*Relay).serveUnclaim, class: limit.Post, also: []int{200, 401, 403, 404, 507}}}
	routeHandles   = &route{name: "handles", get: method{serve: (*Relay).serveHandles, class: limit.Other}}
	routeWhois     = &route{name: "whois", get: method{serve: (*Relay).serveWhois, class: limit.Other, also: []int{404}}}
	routeA2A       = &route{name: "agent_card", get: method{serve: (*Relay).serveAgentCard, class: limit.Other, also: []int{404}}}
	routeIntro     = &route{name: "intro", post: method{serve: (*Relay).serveIntro, class: limit.Meet, also: []int{200, 403, 404, 507}}, maxBody: event.MaxBodyBytes}
	routeRegister  = &route{name: "invite_register", post: method{serve: (*Relay).serveRegister, class: limit.Meet, also: []int{507}}, maxBody: 64 << 10}
	routeInvite    = &route{name: "invite", get: method{serve: (*Relay).serveInvite, class: limit.Other, also: []int{404, 410, 507}}}
	routePairs     = &route{name: "pairs", post: method{serve: (*Relay).servePair, class: limit.Meet, also: []int{409}}, maxBody: 128 << 10}
	routePair      = &route{name: "pair", get: method{serve: (*Relay).serveLook, class: limit.Other, also: []int{404}}}
	routeBootstrap = &route{name: "pair_bootstrap", post: method{serve: (*Relay).serveBootstrap, class: limit.Meet, also: []int{404}}, maxBody: 64 << 10}
	routeAbandon   = &route{name: "pair_abandon", post: method{serve: (*Relay).serveAbandon, class: limit.Meet, also: []int{204}}, maxBody: 64 << 10}
	routeLanding   = &route{name: "landing", get: method{serve: (*Relay).serveLanding, class: limit.Other, also: []int{304}}}
	routeBoard     = &route{name: "dashboard", get: method{serve: (*Relay).serveDashboard, class: limit.Other, also: []int{304}}}
	routeBook      = &route{name: "phonebook", get: method{serve: (*Relay).servePhonebook, class: limit.Other, also: []int{304}}}
	routeAPI       = &route{name: "api", get: method{serve: (*Relay).serveAPI, class: limit.Other, also: []int{304}}}
	routeManual    = &route{name: "manual", get: method{serve: (*Relay).serveManual, class: limit.Other, also: []int{304, 404}}}
	routeAsset     = &route{name: "asset", get: method{serve: (*Relay).serveAsset, class: limit.Other, also: []int{304, 404}}}
	routeNone      = &route{name: "none"}

	routes = []*route{
		routeHealthz, routeReadyz, routeStats, routeEither, routeHistory, routeSeries, routeOpenAPI, routeAlloc, routeEvents,
		routeStream, routeSlot, routeState, routeHealth, routeTokens, routeToken, routeRotate,
		routeClaim, routeUnclaim, routeHandles, routeWhois, routeA2A, routeIntro,
		routeRegister, routeInvite, routePairs, routePair, routeBootstrap, routeAbandon,
		routeLanding, routeBoard, routeBook, routeAPI, routeManual, routeAsset, routeNone,
	}
)

func init() {
	// What agents on one machine need: their mailboxes, and how they meet. It shows
	// nobody to others.
	for _, rt := range []*route{routeHealthz, routeAlloc, routeEvents, routeStream, routeSlot, routeState, routeHealth, routeTokens, routeToken, routeRotate, routeClaim, routeUnclaim, routeIntro, routePairs, routePair, routeBootstrap, routeAbandon} {
		rt.local = true
	}
	for _, rt := range routes {
		for _, m := range []struct {
			*method
			name, allow string
			success     int
		}{{&rt.get, "GET", "GET, HEAD", 200}, {&rt.post, "POST", "POST", 201}, {&rt.delete, "DELETE", "DELETE", 204}} {
			if m.serve == nil {
				continue
			}
			if rt.allow != "" {
				rt.allow += ", "
			}
			rt.allow += m.allow
			m.op = len(operations)
			operations = append(operations, stats.Operation{Route: rt.name, Method: m.name, Statuses: append(rt.refusals(m.name), append(m.also, m.success)...)})
		}
	}
	operations[opLongPoll].Statuses = operations[routeEvents.get.op].Statuses
	operations[opBatchPost].Statuses = operations[routeEvents.post.op].Statuses
}

// Operations that are no method of a route. A method that no route has is opNone,
// which is the zero value.
const (
	opNone = iota
	opPreflight
	opLongPoll
	opBatchPost
)

// operations is what requests are counted by: these, and each method of each route.
var operations = []stats.Operation{
	opNone:      {Route: "none", Method: "other", Statuses: []int{400, 404, 405, 408, 413, 429, 431, 500, 503}},
	opPreflight: {Route: "preflight", Method: "OPTIONS", Statuses: []int{204, 400, 429, 431, 500, 503}},
	opLongPoll:  {Route: "long_poll", Method: "GET"},
	opBatchPost: {Route: "batch_post", Method: "POST"},
}

// operationLabels are the pprof labels of requests, by operation: go tool pprof
// -tagfocus=route=events.
func operationLabels() (list []context.Context) {
	for _, o := range operations {
		list = append(list, pprof.WithLabels(context.Background(), pprof.Labels("relay", "request", "route", o.Route, "method", o.Method)))
	}
	return list
}

// refusals are the statuses of refusals that a method of the route can have, but for
// those that its handler alone knows.
func (rt *route) refusals(method string) []int {
	list := []int{400, 408, 431, 500, 503}
	if !rt.unlimited {
		list = append(list, 429)
	}
	if rt.bearer {
		list = append(list, 404)
	}
	if rt.bearer || rt.anyBearer {
		list = append(list, 401, 403)
	}
	if method == "POST" {
		list = append(list, 413, 415, 422)
	}
	return list
}

var (
	prefixEvents = []byte("/v1/events/")
	prefixSlot   = []byte("/v1/slot/")
	prefixTokens = []byte("tokens/")
	prefixInvite = []byte("/i/")
	prefixPair   = []byte("/v1/pair/")
	prefixClaim  = []byte("/v1/handle/claim/")
	prefixIntro  = []byte("/v1/handle/intro/")
	prefixManual = []byte(manual.Path + "/")
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
	case manual.APIPath:
		return routeAPI, nil
	case manual.Path:
		return routeManual, nil
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
		case string(sub) == "tokens":
			return routeTokens, slot
		case string(sub) == "tokens/rotate":
			return routeRotate, slot
		case isToken(sub):
			return routeToken, slot
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
	} else if rest, ok := bytes.CutPrefix(path, prefixManual); ok {
		if len(rest) > 0 && bytes.IndexByte(rest, '/') < 0 {
			return routeManual, nil
		}
	} else if web.Asset(path) != nil {
		return routeAsset, nil
	}
	return routeNone, nil
}

// isToken says whether what stands behind a slot's id is the path of one of its
// tokens. A text that is no id of a token is refused there.
func isToken(sub []byte) bool {
	id, ok := bytes.CutPrefix(sub, prefixTokens)
	return ok && len(id) > 0 && bytes.IndexByte(id, '/') < 0
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
