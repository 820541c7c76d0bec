package fasthttp

import (
	"bytes"

	"cowrelay/cow/event"
	"cowrelay/cow/token"
	"cowrelay/fasthttp/conn"
	"cowrelay/fasthttp/keys"
	"cowrelay/fasthttp/limit"
	"cowrelay/fasthttp/manual"
	"cowrelay/fasthttp/meet"
	"cowrelay/fasthttp/web"
)

var (
	routeHealthz   = &route{name: "healthz", get: method{serve: (*Relay).serveHealthz, class: limit.Other}, unlimited: true}
	routeReadyz    = &route{name: "readyz", get: method{serve: (*Relay).serveReadyz, class: limit.Other}, unlimited: true}
	routeStats     = &route{name: "stats", get: method{serve: (*Relay).serveStats, class: limit.Other}}
	routeEither    = &route{name: "stats_either", get: method{serve: (*Relay).serveStatsEither, class: limit.Other}}
	routeHistory   = &route{name: "stats_history", get: method{serve: (*Relay).serveStatsHistory, class: limit.Other}}
	routeSeries    = &route{name: "stats_series", get: method{serve: (*Relay).serveStatsSeries, class: limit.Other}}
	routeOpenAPI   = &route{name: "openapi", get: method{serve: (*Relay).serveDescription, class: limit.Other}}
	routeAlloc     = &route{name: "allocate", post: method{serve: (*Relay).serveAllocate, class: limit.Allocate}, maxBody: 16 << 10}
	routeEvents    = &route{name: "events", get: method{serve: (*Relay).servePull, class: limit.Read, needs: token.Read, ticket: true}, post: method{serve: (*Relay).servePost, class: limit.Post, needs: token.Post}, lines: (*Relay).servePostLines, bearer: true, maxBody: event.MaxBodyBytes}
	routeStream    = &route{name: "stream", get: method{serve: (*Relay).serveStream, class: limit.Stream, needs: token.Read, ticket: true}, bearer: true}
	routeSlot      = &route{name: "slot", delete: method{serve: (*Relay).serveDelete, class: limit.Post, needs: token.Owner}, bearer: true, evenBlocked: true}
	routeState     = &route{name: "state", get: method{serve: (*Relay).serveState, class: limit.Read, needs: token.Read}, bearer: true, evenBlocked: true}
	routeHealth    = &route{name: "responder_health", post: method{serve: (*Relay).serveHealth, class: limit.Post, needs: token.Slot}, bearer: true, shapeFirst: true, maxBody: 64 << 10}
	routeTokens    = &route{name: "tokens", get: method{serve: (*Relay).serveTokens, class: limit.Read, needs: token.Owner}, post: method{serve: (*Relay).serveMakeToken, class: limit.Post, needs: token.Slot}, bearer: true, maxBody: keys.MaxBody}
	routeToken     = &route{name: "token", delete: method{serve: (*Relay).serveRevoke, class: limit.Post, needs: token.Owner}, bearer: true, evenBlocked: true}
	routeRotate    = &route{name: "token_rotate", post: method{serve: (*Relay).serveRotate, class: limit.Post, needs: token.Owner}, bearer: true, evenBlocked: true, noBody: true, maxBody: keys.MaxBody}
	routeClaim     = &route{name: "claim", post: method{serve: (*Relay).serveClaim, class: limit.Post}, anyBearer: true, maxBody: meet.MaxClaimBody}
	routeUnclaim   = &route{name: "unclaim", delete: method{serve: (*Relay).serveUnclaim, class: limit.Post}}
	routeHandles   = &route{name: "handles", get: method{serve: (*Relay).serveHandles, class: limit.Other}}
	routeWhois     = &route{name: "whois", get: method{serve: (*Relay).serveWhois, class: limit.Other}}
	routeA2A       = &route{name: "agent_card", get: method{serve: (*Relay).serveAgentCard, class: limit.Other}}
	routeIntro     = &route{name: "intro", post: method{serve: (*Relay).serveIntro, class: limit.Meet}, maxBody: event.MaxBodyBytes}
	routeRegister  = &route{name: "invite_register", post: method{serve: (*Relay).serveRegister, class: limit.Meet}, maxBody: 64 << 10}
	routeInvite    = &route{name: "invite", get: method{serve: (*Relay).serveInvite, class: limit.Other}}
	routePairs     = &route{name: "pairs", post: method{serve: (*Relay).servePair, class: limit.Meet}, maxBody: 128 << 10}
	routePair      = &route{name: "pair", get: method{serve: (*Relay).serveLook, class: limit.Other}}
	routeBootstrap = &route{name: "pair_bootstrap", post: method{serve: (*Relay).serveBootstrap, class: limit.Meet}, maxBody: 64 << 10}
	routeAbandon   = &route{name: "pair_abandon", post: method{serve: (*Relay).serveAbandon, class: limit.Meet}, maxBody: 64 << 10}
	routeLanding   = &route{name: "landing", get: method{serve: (*Relay).serveLanding, class: limit.Other}}
	routeBoard     = &route{name: "dashboard", get: method{serve: (*Relay).serveDashboard, class: limit.Other}}
	routeBook      = &route{name: "phonebook", get: method{serve: (*Relay).servePhonebook, class: limit.Other}}
	routeAPI       = &route{name: "api", get: method{serve: (*Relay).serveAPI, class: limit.Other}}
	routeManual    = &route{name: "manual", get: method{serve: (*Relay).serveManual, class: limit.Other}}
	routeAsset     = &route{name: "asset", get: method{serve: (*Relay).serveAsset, class: limit.Other}}
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
