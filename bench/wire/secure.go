package wire

import (
	"crypto/tls"
	"strings"
)

// Before an address stands TLS for clients that speak it, each connection with a
// session of its own, or Resumed for clients that take up an earlier session.
const (
	TLS     = "tls://"
	Resumed = "tls-resumed://"
)

// Nobody looks at the names of certificates: the server is one that was started here.
var (
	fullTLS    = &tls.Config{InsecureSkipVerify: true, ServerName: "relay", ClientSessionCache: noSessions{}}
	resumedTLS = &tls.Config{InsecureSkipVerify: true, ServerName: "relay", ClientSessionCache: tls.NewLRUClientSessionCache(64)}
)

// noSessions is a cache that keeps nothing. A client without a cache asks for no session
// ticket, and the server makes none: its full handshakes would be cheaper than those of
// real clients, and seem so beside resumed ones.
type noSessions struct{}

func (noSessions) Get(string) (*tls.ClientSessionState, bool) { return nil, false }
func (noSessions) Put(string, *tls.ClientSessionState)        {}

// split returns host and port of an address, and what its clients speak: nil for plain
// bytes.
func split(addr string) (string, *tls.Config) {
	if rest, ok := strings.CutPrefix(addr, TLS); ok {
		return rest, fullTLS
	}
	if rest, ok := strings.CutPrefix(addr, Resumed); ok {
		return rest, resumedTLS
	}
	return addr, nil
}

// HostPort is an address without what stands before it.
func HostPort(addr string) string {
	addr, _ = split(addr)
	return addr
}
