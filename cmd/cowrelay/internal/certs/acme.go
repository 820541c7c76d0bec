package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// Account is what the relay asks an authority for by ACME.
type Account struct {
	Domains   []string
	Email     string // of the operator, for the authority; "": none
	Directory string // URL of the authority
	Cache     string // folder of keys and certificates
}

// authority shows the certificates that it got from an authority.
type authority struct {
	*Source
	account Account
	log     *slog.Logger
	manager *autocert.Manager
	shown   atomic.Pointer[map[string]*tls.Certificate] // by domain; replaced as a whole
	failing int                                         // attempts in a row that failed; of the source's goroutine
}

const (
	acmeEvery = time.Minute // between two looks at what the manager has renewed
	acmeLeast = time.Minute // between two attempts after one that failed, doubled each time
	acmeMost  = time.Hour
)

var errNoCertificate = errors.New("there is no certificate for this name yet")

// ACME returns a source that gets certificates for the account's domains and renews
// them. It proves that it has a domain by TLS-ALPN-01: the authority must reach one of
// the relay's listeners of TLS on port 443. Until it has a certificate, handshakes for
// that name fail; none waits for the authority.
func ACME(a Account, log *slog.Logger) *Source {
	s := &authority{account: a, log: log, manager: &autocert.Manager{
		Prompt: autocert.AcceptTOS, Email: a.Email, HostPolicy: autocert.HostWhitelist(a.Domains...), Cache: autocert.DirCache(a.Cache),
		Client: &acme.Client{DirectoryURL: a.Directory, UserAgent: "cowrelay"},
	}}
	s.shown.Store(new(map[string]*tls.Certificate))
	s.Source = newSource(s.certificate, acme.ALPNProto)
	s.run(s.step)
	return s.Source
}

// certificate answers a handshake.
func (s *authority) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if slices.Contains(hello.SupportedProtos, acme.ALPNProto) {
		return s.manager.GetCertificate(hello) // the authority's question, which has its answer ready
	}
	name := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
	if name == "" { // asked by address
		name = s.account.Domains[0]
	}
	if cert := (*s.shown.Load())[name]; cert != nil {
		return cert, nil
	}
	return nil, errNoCertificate
}

// step asks the manager for every certificate. It has them in memory, or in its
// folder, or asks the authority. It renews them by itself.
func (s *authority) step(ctx context.Context) time.Duration {
	shown, now := make(map[string]*tls.Certificate), *s.shown.Load()
	var first time.Time
	failed := false
	for _, domain := range s.account.Domains {
		cert, err := s.manager.GetCertificate(&tls.ClientHelloInfo{
			ServerName: domain, SupportedCurves: []tls.CurveID{tls.CurveP256}, SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256},
			CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
		})
		if err != nil {
			failed = true
			s.failed.Add(1)
			s.log.Error("no certificate from the authority: trying again", "domain", domain, "directory", s.account.Directory, "error", err)
			cert = now[domain]
		} else if cert != now[domain] && (now[domain] == nil || !cert.Leaf.Equal(now[domain].Leaf)) {
			s.good.Add(1)
			s.log.Info("certificate", "domain", domain, "expires", cert.Leaf.NotAfter.UTC().Format(time.RFC3339))
		}
		if cert == nil {
			continue
		}
		shown[domain] = cert
		if first.IsZero() || cert.Leaf.NotAfter.Before(first) {
			first = cert.Leaf.NotAfter
		}
	}
	s.shown.Store(&shown)
	if !first.IsZero() {
		s.expires.Store(first.Unix())
	}
	if !failed {
		s.failing = 0
		return acmeEvery
	}
	s.failing++
	return min(acmeMost, acmeLeast<<min(s.failing-1, 10))
}
