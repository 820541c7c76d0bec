package natslog_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cowrelay/cow/natslog"
	"cowrelay/cow/natslog/natstest"
)

// A server that asks for a certificate gets the relay's, also at its monitoring port. The
// files are read again for each connection, and no key stands in an error.
func TestOpen_Certificate(t *testing.T) {
	t.Parallel()
	dir, strangers := t.TempDir(), t.TempDir()
	cert, key := certificate(t, dir)
	other, otherKey := certificate(t, strangers)
	s := natstest.One(t, natstest.Config{Extra: fmt.Sprintf("tls { cert_file: %q, key_file: %q, ca_file: %q, verify: true }", cert, key, cert)})
	o := natslog.Options{
		URLs: []string{strings.Replace(s.URL(), "nats://", "tls://", 1)}, MonitorURLs: []string{monitorWithTLS(t, s, cert, key)},
		Replicas: 1, FewReplicas: true, CA: cert, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	refused := func(o natslog.Options, words ...string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		l, err := natslog.Open(ctx, o)
		if err == nil {
			l.Close()
			t.Fatal("opened")
		}
		if !slices.ContainsFunc(words, func(word string) bool { return strings.Contains(err.Error(), word) }) {
			t.Errorf("the error says none of %q: %v", words, err)
		}
	}
	// The server closes behind its alert, which may be lost then.
	refused(o, "certificate", "tls error: ") // none
	o.Cert, o.Key = other, otherKey
	refused(o, "tls: ", "tls error: ")
	o.Key = key
	refused(o, "can't be used") // of another certificate

	// The files get other content while the relay runs: the next connection shows it.
	o.Cert, o.Key = filepath.Join(t.TempDir(), "cert"), filepath.Join(t.TempDir(), "key")
	show := func(cert, key string) {
		t.Helper()
		for to, from := range map[string]string{o.Cert: cert, o.Key: key} {
			text, err := os.ReadFile(from)
			must(t, err)
			must(t, os.WriteFile(to, text, 0o600))
		}
	}
	show(cert, key)
	l := open(t, o)
	fs := follow(t, l, 1)
	sendAll(t, l, 1, 5, 100)
	await(t, 20*time.Second, "all entries", func() bool { return fs.count() == 5 })
	show(other, otherKey)
	must(t, s.Stop())
	must(t, s.Start())
	await(t, time.Minute, "that it is refused", func() bool {
		s := l.Status()
		return !s.Connected && (strings.Contains(s.LastError, "tls: ") || strings.Contains(s.LastError, "tls error: "))
	})
	show(cert, key)
	await(t, time.Minute, "that it is let in", func() bool { return l.Status().Connected })
	sendAll(t, l, 6, 10, 100)
	await(t, time.Minute, "the rest", func() bool { return fs.count() == 10 })
	fs.check(t)
}

// monitorWithTLS stands before the monitoring port of a server. It asks for a
// certificate that the authority in the file has signed.
func monitorWithTLS(t *testing.T, s *natstest.Server, cert, key string) string {
	t.Helper()
	text, err := os.ReadFile(cert)
	must(t, err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	pair, err := tls.LoadX509KeyPair(cert, key)
	must(t, err)
	to, err := url.Parse(s.Monitor())
	must(t, err)
	front := httptest.NewUnstartedServer(httputil.NewSingleHostReverseProxy(to))
	front.Config.ErrorLog = log.New(io.Discard, "", 0)
	front.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
	front.StartTLS()
	t.Cleanup(front.Close)
	return front.URL
}
