package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"cowrelay/fasthttp/limit"
)

// Listening is an address that clients connect to.
type Listening struct {
	Address string // host:port
	// TLS says whether its clients speak it. Without a scheme before the address, they
	// do if the relay has a certificate.
	TLS    bool
	scheme string // http, https or ""
}

// URL is the address as a client takes it, with what a listener may have filled in.
func (l Listening) URL(address string) string {
	if l.TLS {
		return "https://" + address
	}
	return "http://" + address
}

// Text is the address as the log shows it.
func (l Listening) Text(address string) string {
	if l.TLS {
		return "https://" + address
	}
	return address
}

// Network is what the address is listened on with. An address of all of IPv6 is one of
// all of IPv4 too, as people expect, unless the list has that beside it.
func (c *Config) Network(l Listening) string {
	host, port, _ := net.SplitHostPort(l.Address)
	if host == "::" && slices.ContainsFunc(c.Binds, func(o Listening) bool { return o.Address == "0.0.0.0:"+port }) {
		return "tcp6"
	}
	return "tcp"
}

// setBinds reads a list of addresses, or nothing.
func (c *Config) setBinds(v string) error {
	c.Binds = nil
	for _, text := range limit.SplitList(v) {
		l := Listening{Address: text}
		if scheme, rest, ok := strings.Cut(text, "://"); ok {
			l.scheme, l.Address = scheme, rest
		}
		if l.scheme != "" && l.scheme != "http" && l.scheme != "https" {
			return fmt.Errorf("%q: before an address stands http://, https:// or nothing", text)
		}
		if err := address(&l.Address)(l.Address); err != nil {
			return err
		}
		if l.Address == "" {
			return fmt.Errorf("%q names no address", text)
		}
		if !strings.HasSuffix(l.Address, ":0") && slices.ContainsFunc(c.Binds, func(o Listening) bool { return o.Address == l.Address }) {
			return fmt.Errorf("%s stands there twice", l.Address)
		}
		c.Binds = append(c.Binds, l)
	}
	return nil
}

// HasTLS says whether the relay has, or gets, a certificate.
func (c *Config) HasTLS() bool { return c.TLSCert != "" || len(c.ACMEDomains) > 0 }

// settleTLS says which addresses speak TLS, and what is wrong with that as a whole.
func (c *Config) settleTLS() (wrong []error) {
	secure := false
	for i := range c.Binds {
		l := &c.Binds[i]
		l.TLS = l.scheme == "https" || l.scheme == "" && c.HasTLS()
		secure = secure || l.TLS
		if l.TLS && !c.HasTLS() {
			wrong = append(wrong, fmt.Errorf("--bind (%s): https://%s needs a certificate: give --tls-cert and --tls-key, or --acme-domain", c.origin("bind"), l.Address))
		}
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		wrong = append(wrong, errors.New("--tls-cert and --tls-key: one is of no use without the other"))
	}
	if c.TLSCert != "" && len(c.ACMEDomains) > 0 {
		wrong = append(wrong, errors.New("--tls-cert and --acme-domain: the certificate is from files or from an authority, not both"))
	}
	if c.HasTLS() && !secure {
		wrong = append(wrong, errors.New("--bind: there is a certificate, and no address speaks TLS: write https:// before one"))
	}
	return wrong
}

// domains reads host names.
func domains(v string) (list []string, err error) {
	for _, name := range limit.SplitList(strings.ToLower(v)) {
		u, err := url.Parse("https://" + name)
		if err != nil || u.Host != name || u.Port() != "" || !strings.Contains(name, ".") || net.ParseIP(name) != nil || strings.ContainsAny(name, "*_") {
			return nil, fmt.Errorf("%q is no name of a host such as relay.example.com", name)
		}
		if slices.Contains(list, name) {
			return nil, fmt.Errorf("%q stands there twice", name)
		}
		list = append(list, name)
	}
	return list, nil
}

// directory reads the URL of an authority.
func directory(to *string) func(string) error {
	return func(v string) error {
		if u, err := url.Parse(v); err != nil || u.Scheme != "https" || u.Host == "" {
			return errors.New("it is a URL such as https://acme-v02.api.letsencrypt.org/directory")
		}
		*to = v
		return nil
	}
}
