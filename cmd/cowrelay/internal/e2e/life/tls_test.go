package life

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// anyCertificate is a client that looks at no certificate, and makes a connection for
// each request.
func anyCertificate(serial *atomic.Int64) *http.Client {
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(s tls.ConnectionState) error {
			serial.Store(s.PeerCertificates[0].SerialNumber.Int64())
			return nil
		}},
	}}
}

// tlsURL is the URL of the relay's listener of that number, as its log names it.
func tlsURL(r *relaytest.Relay, n int) string {
	text := strings.Split(r.Logged("serving")["bind"].(string), ",")[n]
	if !strings.Contains(text, "://") {
		return "http://" + text
	}
	return text
}

// Certificates are exchanged under load, by SIGHUP and without, and no request fails.
// A pair that can't be used leaves the one that is there.
func TestTLS_CertificatesExchangedUnderLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ends := time.Now().Add(90 * 24 * time.Hour)
	cert, key := relaytest.Certificate(t, dir, 1, ends)
	r := relaytest.Start(t, t.TempDir(), "--bind=https://127.0.0.1:0", "--tls-cert="+cert, "--tls-key="+key)
	url := tlsURL(r, 0)
	var serial atomic.Int64
	var asked atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			client := anyCertificate(new(atomic.Int64))
			for {
				select {
				case <-stop:
					return
				default:
				}
				res, err := client.Get(url + "/healthz")
				if err != nil {
					t.Errorf("a request failed: %v", err)
					return
				}
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
				asked.Add(1)
			}
		})
	}
	shows := func(want int64) {
		t.Helper()
		client := anyCertificate(&serial)
		for end := time.Now().Add(time.Minute); serial.Load() != want; time.Sleep(5 * time.Millisecond) {
			if res, err := client.Get(url + "/healthz"); err == nil {
				res.Body.Close()
			}
			if time.Now().After(end) {
				t.Fatalf("certificate %d is shown, not %d:\n%s", serial.Load(), want, r.Log.String())
			}
		}
	}
	shows(1)
	for n := int64(2); n < 12; n++ {
		relaytest.Certificate(t, dir, n, ends)
		if n%5 != 0 { // else it is found by itself
			r.Signal(syscall.SIGHUP)
		}
		shows(n)
	}
	expiry := fmt.Sprintf("cowrelay_tls_certificate_expiry_seconds %d\n", ends.Unix())
	relaytest.Contains(t, metrics(t, r), expiry)

	// Half a pair, and one that has expired.
	if err := os.WriteFile(key, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.Signal(syscall.SIGHUP)
	failed := func(n int) {
		t.Helper()
		for end := time.Now().Add(time.Minute); !strings.Contains(metrics(t, r), fmt.Sprintf("cowrelay_tls_certificate_loads_total{result=\"failed\"} %d\n", n)); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("no failure is counted:\n%s", r.Log.String())
			}
		}
	}
	failed(1)
	relaytest.Certificate(t, t.TempDir(), 0, ends) // another folder changes nothing
	shows(11)
	relaytest.Certificate(t, dir, 20, time.Now().Add(-time.Hour))
	r.Signal(syscall.SIGHUP)
	failed(2)
	shows(11)
	relaytest.Contains(t, metrics(t, r), expiry)
	relaytest.Certificate(t, dir, 21, ends)
	shows(21)
	close(stop)
	wg.Wait()
	if asked.Load() < 20 {
		t.Errorf("only %d requests", asked.Load())
	}
	r.Stop()
}

func metrics(t *testing.T, r *relaytest.Relay) string {
	t.Helper()
	res, err := http.Get(r.AdminURL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Several addresses are served at once: plain and TLS, IPv4 and IPv6, and all of IPv6
// is all of IPv4 too.
func TestBinds(t *testing.T) {
	cert, key := relaytest.Certificate(t, t.TempDir(), 1, time.Now().Add(90*24*time.Hour))
	socket := t.TempDir() + "/private/relay.sock"
	r := relaytest.Start(t, t.TempDir(), "--bind=http://127.0.0.1:0,127.0.0.1:0,http://[::1]:0,https://[::]:0", "--uds="+socket, "--tls-cert="+cert, "--tls-key="+key)
	var urls []string
	for n := range 4 {
		urls = append(urls, tlsURL(r, n))
	}
	for i, begin := range []string{"http://127.0.0.1:", "https://127.0.0.1:", "http://[::1]:", "https://[::]:"} {
		if !strings.HasPrefix(urls[i], begin) {
			t.Errorf("listener %d is %s", i, urls[i])
		}
	}
	all := urls[3]
	urls[3] = strings.Replace(all, "[::]", "127.0.0.1", 1)
	urls = append(urls, strings.Replace(all, "[::]", "[::1]", 1))
	client := anyCertificate(new(atomic.Int64))
	for _, url := range urls {
		res, err := client.Get(url + "/healthz")
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		res.Body.Close()
	}
	if _, err := os.Stat(socket); err != nil {
		t.Error(err)
	}
	r.Stop()
}

// What is wrong with addresses and certificates ends the start, with a text that says
// what to do.
func TestTLS_WrongSettings(t *testing.T) {
	dir := t.TempDir()
	cert, key := relaytest.Certificate(t, dir, 1, time.Now().Add(time.Hour))
	other := t.TempDir()
	_, otherKey := relaytest.Certificate(t, other, 2, time.Now().Add(time.Hour))
	for _, row := range []struct {
		want string
		args []string
	}{
		{"needs a certificate", []string{"--bind=https://127.0.0.1:0"}},
		{"without the other", []string{"--tls-cert=" + cert}},
		{"not both", []string{"--tls-cert=" + cert, "--tls-key=" + key, "--acme-domain=relay.example.com"}},
		{"write https://", []string{"--bind=http://127.0.0.1:0", "--tls-cert=" + cert, "--tls-key=" + key}},
		{"no certificate and its key", []string{"--tls-cert=" + cert, "--tls-key=" + otherKey}},
		{"cannot read the key", []string{"--tls-cert=" + cert, "--tls-key=/nowhere/key.pem"}},
		{"http://, https:// or nothing", []string{"--bind=ftp://127.0.0.1:0"}},
		{"twice", []string{"--bind=127.0.0.1:1,127.0.0.1:1"}},
		{"no name of a host", []string{"--acme-domain=*.example.com"}},
	} {
		for _, name := range []string{"serve", "check-config"} {
			args := append([]string{name, "--admin=", "--data-dir=" + t.TempDir()}, row.args...)
			_, errs, code := relaytest.Command(t, nil, args...)
			if code == 0 {
				t.Errorf("%q: exit 0", args)
			}
			relaytest.Contains(t, errs, row.want)
		}
	}
}
