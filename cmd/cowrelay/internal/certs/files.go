package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"cowrelay/cmd/cowrelay/internal/wholefile"
)

// mostBytes is the most of a file of certificates.
const mostBytes = 1 << 20

// lookEvery is how often the files are looked at. That is a stat of each.
const lookEvery = 5 * time.Second

// Pair is a certificate and its key in files of PEM.
type Pair struct{ Cert, Key string }

// Load reads the pair. An error says which file is wrong and how. The Leaf of the
// certificate is set.
func (p Pair) Load() (*tls.Certificate, error) {
	cert, err := wholefile.Read(p.Cert, mostBytes)
	if err != nil {
		return nil, fmt.Errorf("cannot read the certificate: %w", err)
	}
	key, err := wholefile.Read(p.Key, mostBytes)
	if err != nil {
		return nil, fmt.Errorf("cannot read the key: %w", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s and %s are no certificate and its key: %w", p.Cert, p.Key, err)
	}
	if len(pair.Leaf.DNSNames)+len(pair.Leaf.IPAddresses) == 0 {
		return nil, fmt.Errorf("%s: the certificate names no host (subjectAltName), and no client takes it", p.Cert)
	}
	return &pair, nil
}

// Names are the hosts that a certificate is for, for people.
func Names(c *tls.Certificate) string {
	names := append([]string(nil), c.Leaf.DNSNames...)
	for _, ip := range c.Leaf.IPAddresses {
		names = append(names, ip.String())
	}
	return strings.Join(names, ", ")
}

// files shows the certificate of a pair of files.
type files struct {
	*Source
	pair  Pair
	log   *slog.Logger
	shown atomic.Pointer[tls.Certificate] // replaced as a whole; each handshake loads it
	seen  [2]os.FileInfo                  // the files as they were read last; of the source's goroutine
}

// Files returns a source of the pair, and an error if it can't be used. Later changes
// of the files are taken up by themselves, or at once after Look.
func Files(p Pair, log *slog.Logger) (*Source, error) {
	f := &files{pair: p, log: log}
	f.Source = newSource(func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return f.shown.Load(), nil })
	f.changed()
	cert, err := p.Load()
	if err != nil {
		return nil, err
	}
	f.show(cert)
	f.run(f.step)
	return f.Source, nil
}

func (f *files) show(c *tls.Certificate) {
	f.shown.Store(c)
	f.expires.Store(c.Leaf.NotAfter.Unix())
	f.good.Add(1)
	log := f.log.Info
	if time.Now().After(c.Leaf.NotAfter) {
		log = f.log.Error
	}
	log("certificate", "file", f.pair.Cert, "names", Names(c), "expires", c.Leaf.NotAfter.UTC().Format(time.RFC3339))
}

// step takes up what has changed. The two files are not written at once, so a pair
// that does not fit is looked at again when either changes once more.
func (f *files) step(context.Context) time.Duration {
	if !f.changed() {
		return lookEvery
	}
	cert, err := f.pair.Load()
	if now := time.Now(); err == nil && now.After(cert.Leaf.NotAfter) && now.Before(f.shown.Load().Leaf.NotAfter) {
		err = errors.New("the new certificate has expired")
	}
	if err != nil {
		f.failed.Add(1)
		f.log.Error("the certificate files have changed and can't be used: the relay shows the certificate that it has", "error", err,
			"expires", f.Expires().UTC().Format(time.RFC3339))
		return lookEvery
	}
	f.show(cert)
	return lookEvery
}

// changed says whether a file is another one than at the last call.
func (f *files) changed() (changed bool) {
	for i, path := range []string{f.pair.Cert, f.pair.Key} {
		info, err := os.Stat(path)
		if err != nil {
			info = nil
		}
		was := f.seen[i]
		f.seen[i] = info
		switch {
		case was == nil || info == nil:
			changed = changed || was != info
		case !os.SameFile(was, info) || !was.ModTime().Equal(info.ModTime()) || was.Size() != info.Size():
			changed = true
		}
	}
	return changed
}
