// Package redact says what a log may hold of a request. Slots' tokens are in
// headers, and a client may put one anywhere else: into a path, in the place of a
// method, or into what a panic quotes.
//
// It knows no HTTP server, and imports nothing of ours.
package redact

import (
	"fmt"
	"runtime"
	"strings"
)

// Path is a path for the log: without the query, and without parts that are
// longer than a slot's id and could be a token. Left out are also the parts that
// stand where an invite's token or a pair's id does: whoever has one may use it.
func Path(path string) string {
	const idLen = 32
	path, _, _ = strings.Cut(path, "?")
	parts := strings.Split(path, "/")
	secret := false // the next part that is not empty
	for i, part := range parts {
		if len(part) > idLen || secret && part != "" && part != "abandon" {
			parts[i] = "…"
		}
		if part != "" {
			secret = strings.EqualFold(part, "i") || strings.EqualFold(part, "pair")
		}
	}
	return strings.Join(parts, "/")
}

// Method is a method for the log. A client may send any word in its place.
func Method(method string) string {
	if len(method) <= len("OPTIONS") {
		return method
	}
	return "…"
}

// Panic is a panic's value for the log, if that is an error of Go or a text of
// ours. Any other value may quote a request.
func Panic(fault any) string {
	switch v := fault.(type) {
	case runtime.Error:
		return v.Error()
	case string:
		if strings.HasPrefix(v, "BUG: ") {
			return v
		}
	}
	return fmt.Sprintf("a value of type %T", fault)
}
