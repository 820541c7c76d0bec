package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"cowrelay/cmd/cowrelay/internal/config"
	"cowrelay/cmd/cowrelay/internal/human"
	"cowrelay/cmd/cowrelay/internal/probe"
)

// checkURL completes the URL of a relay, or refuses it. Empty is none.
func checkURL(text *string) error {
	if *text == "" {
		return nil
	}
	if !strings.Contains(*text, "://") {
		*text = "http://" + *text
	}
	u, err := url.Parse(*text)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
		return fmt.Errorf("%q is no URL such as https://relay.example.com", *text)
	}
	*text = strings.TrimRight(*text, "/")
	return nil
}

// running looks at the relay of this configuration, if it runs, and else at whether it
// could listen.
func (e *examination) running(ctx context.Context, c *config.Config) {
	answers := false
	for _, l := range c.Binds {
		answers = e.address(ctx, "--bind", l) || answers
	}
	if c.UDS != "" {
		here, cancel := context.WithTimeout(ctx, e.limit)
		status, _, err := probe.GetUnix(here, c.UDS, "/healthz")
		cancel()
		if socket := err == nil && status == http.StatusOK; socket {
			answers = true
			e.add("address", ok, "", "--uds: the relay answers at %s", c.UDS)
		} else {
			e.add("address", ok, "", "--uds: no relay answers at %s", c.UDS)
		}
	}
	if c.Admin != "" {
		e.address(ctx, "--admin", config.Listening{Address: c.Admin})
	}
	if !answers {
		e.add("relay", warning, "start it with cowrelay serve, if it shall run; cowrelay verify checks the store of a relay that does not run", "no relay of this configuration answers")
		return
	}
	if len(c.Binds) > 0 {
		e.relay(ctx, c.Binds[0].URL(probe.Reachable(c.Binds[0].Address)), false)
	}
	admin := e.admin
	if admin == "" && c.Admin != "" {
		admin = "http://" + probe.Reachable(c.Admin)
	}
	e.figures(ctx, admin)
}

// address looks at an address that the relay listens on, or would. It returns whether a
// relay answers there.
func (e *examination) address(ctx context.Context, flag string, at config.Listening) bool {
	address := at.Address
	a, err := e.get(ctx, at.URL(probe.Reachable(address))+"/healthz")
	switch {
	case err == nil && a.status == http.StatusOK && a.body == "ok\n":
		e.add("address", ok, "", "%s: the relay answers at %s", flag, address)
		return true
	case err == nil:
		e.add("address", trouble, "end that program, or choose another address", "%s: at %s something answers that is no relay (status %d)", flag, address, a.status)
		return false
	}
	ln, err := net.Listen("tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		e.add("address", trouble, "look which program has it (ss -ltnp), or choose another address", "%s: %s is in use, and no relay answers there within %v", flag, address, e.limit)
	case err != nil:
		e.add("address", trouble, "choose another address; ports below 1024 need a right", "%s: cannot listen: %v", flag, err)
	default:
		ln.Close()
		e.add("address", ok, "", "%s: %s is free", flag, address)
	}
	return false
}

// answer is the reply to a question.
type answer struct {
	status        int
	header        http.Header
	body          string
	sent, arrived time.Time
	expires       time.Time // of the certificate; zero: there is none
}

// mostBody is the most that is read of an answer: metrics of a relay have some 100 KB.
const mostBody = 8 << 20

// get asks once, over a connection of its own.
func (e *examination) get(ctx context.Context, url string) (a answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, e.limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return a, err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	if e.url != "" {
		transport.Proxy = http.ProxyFromEnvironment
	} else { // what is on this machine is asked directly, and by its address: its certificate is looked at elsewhere
		transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	}
	defer transport.CloseIdleConnections()
	a.sent = time.Now()
	res, err := transport.RoundTrip(req)
	if err != nil {
		return a, err
	}
	defer res.Body.Close()
	a.arrived = time.Now()
	body, err := io.ReadAll(io.LimitReader(res.Body, mostBody))
	a.status, a.header, a.body = res.StatusCode, res.Header, string(body)
	if res.TLS != nil && len(res.TLS.PeerCertificates) > 0 {
		a.expires = res.TLS.PeerCertificates[0].NotAfter
		for _, c := range res.TLS.PeerCertificates {
			if c.NotAfter.Before(a.expires) {
				a.expires = c.NotAfter
			}
		}
	}
	return a, err
}

// relay asks a relay as its clients do. fromOutside: it was named by its URL.
func (e *examination) relay(ctx context.Context, base string, fromOutside bool) {
	a, err := e.get(ctx, base+"/healthz")
	if err != nil {
		do := "look whether it runs, and at the name, the proxy and the firewall on the way"
		if strings.HasPrefix(base, "https:") {
			do += "; if the certificate is at fault, renew it"
		}
		e.add("health", trouble, do, "%s: %v", base, err)
		return
	}
	if a.status != http.StatusOK || a.body != "ok\n" {
		e.add("health", trouble, "look at the proxy, and at the path in the URL", "%s/healthz: what answers is no relay (status %d)", base, a.status)
		return
	}
	e.add("health", ok, "", "%s answers after %s", base, human.Took(a.arrived.Sub(a.sent).Seconds()))
	switch r, err := e.get(ctx, base+"/readyz"); {
	case err != nil:
		e.add("readiness", trouble, "ask again", "%v", err)
	case r.status == http.StatusOK:
		e.add("readiness", ok, "", "it serves")
	case r.status == http.StatusNotFound:
		e.add("readiness", ok, "", "it has no /readyz for clients")
	default:
		e.add("readiness", trouble, "wait; if it stays so, look at the relay's log", "it starts or drains: %s", firstLine(r.body))
	}
	e.clock(a)
	if fromOutside {
		e.certificate(base, a)
	}
}

// Differences of the clocks that are told of. The header counts whole seconds.
const (
	clockWarning = 5 * time.Second
	clockTrouble = time.Minute
)

// clock compares the relay's clock with this machine's.
func (e *examination) clock(a answer) {
	at, err := http.ParseTime(a.header.Get("Date"))
	if err != nil {
		e.add("clock", ok, "", "the answer has no date to compare with")
		return
	}
	// The answer was dated between the two, and cut to a second.
	ahead := time.Duration(0)
	switch {
	case at.After(a.arrived):
		ahead = at.Sub(a.arrived)
	case at.Add(time.Second).Before(a.sent):
		ahead = at.Add(time.Second).Sub(a.sent)
	}
	than := "ahead of"
	if ahead < 0 {
		than = "behind"
	}
	const do = "set both by NTP: times of life of tokens, invites and events hang on the relay's clock"
	switch off := ahead.Abs().Round(100 * time.Millisecond); {
	case off >= clockTrouble:
		e.add("clock", trouble, do, "the relay's clock is %v %s this machine's", off, than)
	case off >= clockWarning:
		e.add("clock", warning, do, "the relay's clock is %v %s this machine's", off, than)
	default:
		e.add("clock", ok, "", "the relay's clock is this machine's, to a few seconds")
	}
}

// certificateWarning is how long before its end a certificate is told of.
const certificateWarning = 14 * 24 * time.Hour

// certificate looks at the one that the relay's proxy shows.
func (e *examination) certificate(base string, a answer) {
	u, err := url.Parse(base)
	if err != nil {
		return
	}
	left := time.Until(a.expires)
	switch ip := net.ParseIP(u.Hostname()); {
	case !a.expires.IsZero() && left < certificateWarning:
		e.add("certificate", warning, "renew it, and look why it was not renewed by itself", "it is good, and ends in %s, on %s", human.Age(left), a.expires.UTC().Format(time.DateTime))
	case !a.expires.IsZero():
		e.add("certificate", ok, "", "it is good until %s", a.expires.UTC().Format(time.DateTime))
	case u.Hostname() == "localhost" || ip != nil && ip.IsLoopback():
		e.add("certificate", ok, "", "none, and the relay is on this machine")
	default:
		e.add("certificate", warning, "put a proxy with TLS in front of the relay, and use https", "none: tokens and events cross the network in the clear")
	}
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line[:min(len(line), 200)]
}
