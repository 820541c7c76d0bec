package serve

import (
	"fmt"
	"path/filepath"
	"time"

	"cowrelay/cmd/cowrelay/internal/certs"
	relayhttp "cowrelay/fasthttp"
)

// openCerts opens where the certificates are from, if clients are to speak TLS. A file
// that is wrong ends the start. An authority is asked beside it: it asks back on the
// listeners.
func (s *server) openCerts() (err error) {
	switch {
	case s.TLSCert != "":
		if s.certs, err = certs.Files(certs.Pair{Cert: s.TLSCert, Key: s.TLSKey}, s.log); err != nil {
			return fmt.Errorf("--tls-cert and --tls-key: %w", err)
		}
	case len(s.ACMEDomains) > 0:
		cache := s.ACMECache
		if cache == "" {
			cache = filepath.Join(s.DataDir, "acme")
		}
		s.certs = certs.ACME(certs.Account{Domains: s.ACMEDomains, Email: s.ACMEEmail, Directory: s.ACMEDirectory, Cache: cache}, s.log)
	default:
		return nil
	}
	s.later(s.certs.Close)
	return nil
}

// certificates is what the relay's metrics tell of them, nil without TLS.
func (s *server) certificates() func() relayhttp.Certificates {
	from := s.certs
	if from == nil {
		return nil
	}
	return func() (c relayhttp.Certificates) {
		if at := from.Expires(); at != (time.Time{}) {
			c.Expires = at.Unix()
		}
		c.Loaded, c.Failed = from.Loads()
		return c
	}
}
