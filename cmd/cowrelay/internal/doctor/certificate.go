package doctor

import (
	"time"

	"cowrelay/cmd/cowrelay/internal/certs"
	"cowrelay/cmd/cowrelay/internal/config"
)

// soon is how long before its end a certificate should have been renewed.
const soon = 14 * 24 * time.Hour

// certificate looks at the files of the certificate.
func (e *examination) certificateFiles(c *config.Config) {
	if c.TLSCert == "" {
		return
	}
	cert, err := certs.Pair{Cert: c.TLSCert, Key: c.TLSKey}.Load()
	if err != nil {
		e.add("certificate files", trouble, "put a certificate and its key there that fit together", "%v", err)
		return
	}
	left, ends := time.Until(cert.Leaf.NotAfter), cert.Leaf.NotAfter.UTC().Format(time.RFC3339)
	switch {
	case left <= 0:
		e.add("certificate files", trouble, "renew it: the relay takes up the new files by itself", "%s has expired (%s)", c.TLSCert, ends)
	case time.Now().Before(cert.Leaf.NotBefore):
		e.add("certificate files", trouble, "look at the clock of this machine", "%s is valid from %s on", c.TLSCert, cert.Leaf.NotBefore.UTC().Format(time.RFC3339))
	case left < soon:
		e.add("certificate files", warning, "renew it: the relay takes up the new files by itself", "%s expires soon (%s); it is for %s", c.TLSCert, ends, certs.Names(cert))
	default:
		e.add("certificate files", ok, "", "%s is for %s and expires %s", c.TLSCert, certs.Names(cert), ends)
	}
}
