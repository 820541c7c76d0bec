package rendezvous

import (
	"net/netip"
	"strconv"
	"strings"
)

// maxURLBytes is far more than a host name of 253 bytes needs.
const maxURLBytes = 512

// CleanRelayURL returns a relay's address as it is recorded: without one slash at
// the end, which clients may send. It takes http(s)://host[:port] with a host
// name, an IPv4 address or an IPv6 address in brackets, and a port from 1 to
// 65535.
//
// net/url would take much more: user info, paths, zones, and ports of any size.
// What is recorded here is handed to other agents, who connect to it.
func CleanRelayURL(text string) (cleaned string, ok bool) {
	text = strings.TrimSuffix(text, "/")
	if len(text) > maxURLBytes {
		return "", false
	}
	scheme, authority, ok := strings.Cut(text, "://")
	if !ok || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return "", false
	}
	return text, validAuthority(authority)
}

func validAuthority(text string) bool {
	host, port := text, ""
	if i := strings.LastIndexByte(text, ':'); i >= 0 && !strings.HasSuffix(text, "]") {
		if host, port = text[:i], text[i+1:]; !validPort(port) {
			return false
		}
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		addr, err := netip.ParseAddr(inner)
		return ok && err == nil && addr.Is6() && addr.Zone() == ""
	}
	if strings.Trim(host, "0123456789.") == "" { // can't be a name
		_, err := netip.ParseAddr(host)
		return err == nil
	}
	return validName(host)
}

func validPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0 && text[0] != '+'
}

// validName takes what DNS takes, and the underscores that some networks use. A
// name in another script comes in its ASCII form.
func validName(name string) bool {
	if len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
				return false
			}
		}
	}
	return true
}
