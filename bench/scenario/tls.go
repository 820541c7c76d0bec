package scenario

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"time"

	"cowrelay/bench/load"
	"cowrelay/bench/run"
	"cowrelay/bench/wire"
)

// TLS runs loads over TLS, by turns with a relay without it: polls, posts and windows
// over kept connections, where the ratio is the price of sealing; a connection for each
// poll, where it is that of the handshake, of a new session and of one taken up again;
// and silent streams, of which each has a session in memory. The generator pays for TLS
// as well, on the same machine.
func TLS(cfg *run.Config) ([]run.Variant, error) {
	if cfg.Relay == "" {
		return nil, errors.New("tls starts relays with flags of its own: it needs relay, not target")
	}
	var out []run.Variant
	add := func(list []run.Variant, what string, at func(addr string) string) {
		for _, v := range list {
			v.Scenario, v.Text = "tls", what+v.Scenario+", "+v.Text
			v.Prepare, v.Other, v.Peer, v.Promises = makeCertificate, plainRelay, "relay without TLS", "no secrecy on the network"
			if open := v.Open; open != nil && at != nil {
				v.Open = func(ctx context.Context, e *run.Env, s *load.Server) (run.Runner, error) {
					t := *s
					t.Proc = nil // the original ends it
					if strings.HasPrefix(s.Addr, wire.TLS) {
						t.Addr = at(s.Addr)
					}
					return open(ctx, e, &t)
				}
			}
			out = append(out, v)
		}
	}
	add(Poll(cfg), "", nil)
	add(Post(cfg), "", nil)
	add(Window(cfg), "", nil)
	add(Connect(cfg), "", nil)
	add(Connect(cfg), "resumed, ", func(addr string) string { return wire.Resumed + wire.HostPort(addr) })
	add(Idle(cfg), "", nil)
	return out, nil
}

// plainRelay starts the other relay.
func plainRelay(ctx context.Context, e *run.Env) (*load.Server, error) {
	dir := filepath.Join(e.Dir, "plain")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	s, err := load.StartRelay(ctx, nil, e.Config.Relay, e.Config.RelayArgs, dir)
	if err == nil {
		s.Name = "relay without TLS"
	}
	return s, err
}

// makeCertificate writes a certificate of the usual kind, ECDSA on P-256, and returns
// the relay's arguments for it.
func makeCertificate(dir string) ([]string, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	text := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"relay"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, text, text, &private.PublicKey, private)
	if err != nil {
		return nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if err := errors.Join(
		os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600),
	); err != nil {
		return nil, fmt.Errorf("cannot write a certificate: %w", err)
	}
	return []string{"--tls-cert", cert, "--tls-key", key}, nil
}
