//go:build real

package outside

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// freePort is a port that is free at this moment: Pebble can't say which one the
// system chose for it.
func freePort(t *testing.T) (address, port string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ = net.SplitHostPort(ln.Addr().String())
	return "127.0.0.1:" + port, port
}

// background runs a program until the test ends, and shows what it said if that failed.
func background(t *testing.T, env []string, name string, args ...string) {
	t.Helper()
	var out relaytest.Buffer
	cmd := exec.Command(foreignPath(t, "bin/"+name), args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("%s:\n%s", name, out.String())
		}
	})
}

// Pebble, the test server of Let's Encrypt, gives the relay a certificate: it finds the
// relay by its name, and asks it by TLS-ALPN-01. The next start takes the certificate
// from its folder, and a name that the relay was not given gets none.
func TestReal_ACME(t *testing.T) {
	const domain = "relay.example.com"
	dir, data := t.TempDir(), t.TempDir()
	cert, key := relaytest.Certificate(t, dir, 1, time.Now().Add(time.Hour)) // of Pebble itself
	relayAt, relayPort := freePort(t)
	pebbleAt, _ := freePort(t)
	manageAt, _ := freePort(t)
	dnsAt, _ := freePort(t)
	config := filepath.Join(dir, "pebble.json")
	text, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": pebbleAt, "managementListenAddress": manageAt, "certificate": cert, "privateKey": key,
		"httpPort": 1, "tlsPort": json.Number(relayPort),
	}})
	if err == nil {
		err = os.WriteFile(config, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	background(t, nil, "pebble-challtestsrv", "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-dnsserver", dnsAt, "-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", "", "-management", "")
	background(t, []string{"PEBBLE_VA_NOSLEEP=1"}, "pebble", "-config", config, "-dnsserver", dnsAt)
	await := func(what string, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal(what)
			}
		}
	}
	insecure := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	var root []byte
	await("Pebble does not answer", func() bool {
		res, err := insecure.Get("https://" + manageAt + "/roots/0")
		if err != nil {
			return false
		}
		defer res.Body.Close()
		root, err = io.ReadAll(res.Body)
		return err == nil && res.StatusCode == 200
	})
	trusted := x509.NewCertPool()
	if !trusted.AppendCertsFromPEM(root) {
		t.Fatalf("no root: %s", root)
	}

	// A client that trusts Pebble's root, and finds the relay under its name.
	client := func(name string) *http.Client {
		return &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: trusted, ServerName: name}}}
	}
	start := func() *relaytest.Relay {
		r := relaytest.New(t, data, "--bind="+relayAt, "--acme-domain="+domain, "--acme-email=ops@example.com", "--acme-directory=https://"+pebbleAt+"/dir")
		r.Cmd.Env = append(r.Cmd.Env, "SSL_CERT_FILE="+cert)
		return r.Start()
	}
	served := func(r *relaytest.Relay) (serial string) {
		t.Helper()
		await("the relay shows no certificate:\n"+r.Log.String(), func() bool {
			res, err := client(domain).Get("https://" + relayAt + "/healthz")
			if err != nil {
				return false
			}
			defer res.Body.Close()
			serial = res.TLS.PeerCertificates[0].SerialNumber.String()
			return res.StatusCode == 200
		})
		return serial
	}
	r := start()
	first := served(r)
	if _, err := client("other.example.com").Get("https://" + relayAt + "/healthz"); err == nil {
		t.Error("a name that the relay was not given has a certificate")
	}
	text = ourMetrics(t, r)
	for _, line := range []string{"cowrelay_tls_certificate_loads_total{result=\"ok\"} 1\n", "cowrelay_tls_certificate_loads_total{result=\"failed\"} 0\n"} {
		if !strings.Contains(string(text), line) {
			t.Errorf("no %q in the metrics", line)
		}
	}
	if strings.Contains(string(text), "cowrelay_tls_certificate_expiry_seconds 0\n") {
		t.Error("the metrics tell no end of the certificate")
	}
	r.Stop()
	again := start()
	if second := served(again); second != first {
		t.Errorf("the next start got another certificate: %s, %s", first, second)
	}
	again.Stop()
	if _, err := os.Stat(filepath.Join(data, "acme", domain)); err != nil {
		t.Error(fmt.Errorf("the certificate is not in the data folder: %w", err))
	}
}
