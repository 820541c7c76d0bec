package commands

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// diagnosis is what doctor --json prints.
type diagnosis struct {
	Trouble, Warnings int
	Checks            []struct{ Check, Status, Text, Do string }
}

// diagnose runs doctor and holds its exit status against what it has found.
func diagnose(t *testing.T, env []string, args ...string) (d diagnosis) {
	t.Helper()
	out, errs, code := relaytest.Command(t, env, append([]string{"doctor", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &d); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, errs)
	}
	n := map[string]int{}
	for _, c := range d.Checks {
		n[c.Status]++
		if c.Text == "" || (c.Do == "") != (c.Status == "ok") {
			t.Errorf("%+v", c)
		}
	}
	if want := min(n["trouble"], 1); code != want || n["trouble"] != d.Trouble || n["warning"] != d.Warnings || n["ok"]+d.Trouble+d.Warnings != len(d.Checks) {
		t.Errorf("exit %d: %+v", code, d)
	}
	return d
}

// says fails unless a check has the status and says the text.
func (d diagnosis) says(t *testing.T, check, status, text string) {
	t.Helper()
	for _, c := range d.Checks {
		if c.Check == check && c.Status == status && strings.Contains(c.Text, text) {
			return
		}
	}
	t.Errorf("no %s: %s: %s in %+v", check, status, text, d.Checks)
}

// none fails if a check has been made.
func (d diagnosis) none(t *testing.T, check string) {
	t.Helper()
	for _, c := range d.Checks {
		if c.Check == check {
			t.Errorf("%+v", c)
		}
	}
}

// hostPort is a URL without its scheme.
func hostPort(url string) string { return strings.TrimPrefix(url, "http://") }

func TestDoctor_RunningRelay(t *testing.T) {
	dir := t.TempDir()
	os.Chmod(dir, 0o700)
	r := relaytest.Start(t, dir, "--max-slots=10")
	env := []string{"COWRELAY_DATA_DIR=" + dir, "COWRELAY_BIND=" + hostPort(r.URL), "COWRELAY_ADMIN=" + hostPort(r.AdminURL), "COWRELAY_DISK_RESERVE=1MiB"}
	d := diagnose(t, env)
	for check, text := range map[string]string{
		"configuration": "fit together", "access": "nobody else", "memory": "the budget is", "data folder": dir + " is there", "health": r.URL + " answers after",
		"readiness": "it serves", "clock": "this machine's", "limits": "none is near", "store and log": "no errors since the start",
	} {
		d.says(t, check, "ok", text)
	}
	d.says(t, "address", "ok", "--bind: the relay answers")
	d.says(t, "address", "ok", "--admin: the relay answers")
	d.none(t, "certificate")
	d.none(t, "relay")
	for n := range 10 {
		r.Allocate()
		if n == 7 {
			diagnose(t, env).says(t, "limits", "warning", "slots: 8 of 10")
		}
	}
	if d = diagnose(t, env); d.Trouble == 0 {
		t.Errorf("%+v", d)
	}
	d.says(t, "limits", "trouble", "slots: 10 of 10")
	// The same for people.
	out, errs, code := relaytest.Command(t, env, "doctor")
	if code != 1 {
		t.Errorf("exit %d", code)
	}
	relaytest.Contains(t, out, "ok       configuration  ", "trouble  limits         slots: 10 of 10\n", "  do: raise --max-slots")
	relaytest.Contains(t, errs, "checks found trouble")
	// From outside, with and without its figures.
	d = diagnose(t, nil, "--url", r.URL)
	d.says(t, "certificate", "ok", "on this machine")
	d.none(t, "limits")
	d.none(t, "configuration")
	diagnose(t, nil, "--url", r.URL, "--admin", r.AdminURL).says(t, "limits", "trouble", "slots: 10 of 10")
	diagnose(t, nil, "--url", r.URL, "--admin", r.URL).says(t, "figures", "trouble", "status 404")
	r.Stop()
	d = diagnose(t, env)
	d.says(t, "relay", "warning", "no relay of this configuration answers")
	d.says(t, "address", "ok", "--bind: "+hostPort(r.URL)+" is free")
	diagnose(t, nil, "--url", r.URL).says(t, "health", "trouble", "refused")
}

// What is wrong with this machine's side, without a relay.
func TestDoctor_Machine(t *testing.T) {
	stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }))
	defer stranger.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	open, dir := t.TempDir(), t.TempDir()
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	file := relaytest.WriteTemp(t, "no folder")
	for _, x := range []struct {
		setting, check, status, text string
	}{
		{"BIND=" + hostPort(stranger.URL), "address", "trouble", "something answers that is no relay (status 200)"},
		{"BIND=" + silent.Addr().String(), "address", "trouble", "is in use, and no relay answers there within 300ms"},
		{"BIND=192.0.2.1:80", "address", "trouble", "cannot listen"},
		{"DATA_DIR=" + open, "access", "warning", "others can write to the data folder"},
		{"DATA_DIR=" + file, "data folder", "trouble", "not a directory"},
		{"DATA_DIR=" + file + "/below", "data folder", "trouble", "not a directory"},
		{"DATA_DIR=" + dir + "/a/b", "data folder", "ok", "is not there yet, and can be made"},
		{"DISK_RESERVE=1000TiB", "disk", "trouble", "below 1,000 TiB"},
		{"MEMORY_BUDGET=33MiB", "memory", "warning", "the budget is 33.0 MiB"},
		{"CONFIG=" + relaytest.ConfigFile(t, "max-slot = 3\n"), "configuration", "trouble", `unknown key "max-slot"`},
		{"MAX_STREAMS=x", "configuration", "trouble", "COWRELAY_MAX_STREAMS"},
	} {
		env := []string{"COWRELAY_DATA_DIR=" + dir, "COWRELAY_BIND=127.0.0.1:0", "COWRELAY_ADMIN=", "COWRELAY_" + x.setting}
		diagnose(t, env, "--timeout", "300ms").says(t, x.check, x.status, x.text)
	}
	if _, err := os.Stat(filepath.Join(dir, "a")); err == nil {
		t.Error("doctor made the data folder")
	}
	limited := func(files int) string {
		cmd := exec.Command("sh", "-c", fmt.Sprintf(`ulimit -n %d; exec "$0" doctor`, files), relaytest.Binary)
		cmd.Env = append(relaytest.CleanEnv(), "COWRELAY_DATA_DIR="+dir, "COWRELAY_BIND=127.0.0.1:0", "COWRELAY_ADMIN=")
		out, _, _ := relaytest.Finish(t, cmd)
		return out
	}
	relaytest.Contains(t, limited(1000), "warning  open files", "the limit of 1,000 leaves", "do: raise the limit to")
	relaytest.Contains(t, limited(50), "trouble  open files")
	if _, err := os.Stat("/dev/shm"); err == nil && runtime.GOOS == "linux" {
		diagnose(t, []string{"COWRELAY_DATA_DIR=/dev/shm/cowrelay-of-a-test", "COWRELAY_BIND=127.0.0.1:0", "COWRELAY_ADMIN="}).says(t, "file system", "trouble", "tmpfs: it is memory")
	}
	for _, args := range [][]string{{"--url=ftp://x"}, {"--url=http://a:b@x"}, {"--admin=:"}, {"--timeout=0s"}, {"x"}} {
		if _, errs, code := relaytest.Command(t, nil, append([]string{"doctor"}, args...)...); code != 2 || errs == "" {
			t.Errorf("%v: exit %d, %s", args, code, errs)
		}
	}
}

// secure puts TLS with a certificate of its own before a relay. change may change the
// replies. It returns the URL, and the file of the certificate.
func secure(t *testing.T, relay string, ends time.Time, change func(*http.Response) error) (base, file string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sheet := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "relay"}, NotBefore: time.Now().Add(-100 * 24 * time.Hour), NotAfter: ends,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, sheet, sheet, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	to, err := url.Parse(relay)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.ModifyResponse = change
	s := httptest.NewUnstartedServer(proxy)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // some clients here don't trust it
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL, relaytest.WriteTemp(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
}

func TestDoctor_CertificateAndClock(t *testing.T) {
	r := relaytest.Start(t, t.TempDir())
	day := 24 * time.Hour
	base, file := secure(t, r.URL, time.Now().Add(90*day), nil)
	diagnose(t, nil, "--url", base).says(t, "health", "trouble", "certificate")
	trust := []string{"SSL_CERT_FILE=" + file}
	d := diagnose(t, trust, "--url", base)
	d.says(t, "certificate", "ok", "it is good until")
	d.says(t, "clock", "ok", "")
	base, file = secure(t, r.URL, time.Now().Add(3*day), func(res *http.Response) error {
		res.Header.Set("Date", time.Now().Add(-20*time.Second).UTC().Format(http.TimeFormat))
		return nil
	})
	d = diagnose(t, []string{"SSL_CERT_FILE=" + file}, "--url", base)
	d.says(t, "certificate", "warning", "ends in 2d23h")
	d.says(t, "clock", "warning", "behind this machine's")
	base, file = secure(t, r.URL, time.Now().Add(-day), nil)
	diagnose(t, []string{"SSL_CERT_FILE=" + file}, "--url", base).says(t, "health", "trouble", "expired")
	base, file = secure(t, r.URL, time.Now().Add(90*day), func(res *http.Response) error {
		res.Header.Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
		return nil
	})
	diagnose(t, []string{"SSL_CERT_FILE=" + file}, "--url", base).says(t, "clock", "trouble", "ahead of this machine's")
}

// A relay with a Unix socket alone, and one that serves this machine alone.
func TestDoctor_LocalRelays(t *testing.T) {
	dir := t.TempDir()
	os.Chmod(dir, 0o700)
	r := relaytest.Start(t, dir, "--local-only")
	env := []string{"COWRELAY_DATA_DIR=" + dir, "COWRELAY_LOCAL_ONLY=true", "COWRELAY_BIND=" + hostPort(r.URL), "COWRELAY_ADMIN=" + hostPort(r.AdminURL)}
	d := diagnose(t, env)
	d.says(t, "readiness", "ok", "no /readyz for clients")
	d.says(t, "limits", "ok", "none is near")
	sockets, err := os.MkdirTemp("", "d")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(sockets) })
	socket := filepath.Join(sockets, "s")
	env = []string{"COWRELAY_DATA_DIR=" + dir, "COWRELAY_BIND=", "COWRELAY_ADMIN=", "COWRELAY_UDS=" + socket}
	d = diagnose(t, env)
	d.says(t, "address", "ok", "no relay answers at "+socket)
	d.says(t, "relay", "warning", "")
	r.Stop()
	cmd := exec.Command(relaytest.Binary, "serve")
	cmd.Env = append(relaytest.CleanEnv(), env...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("unix", socket); err == nil {
			c.Close()
			break
		}
		if time.Now().After(end) {
			t.Fatal("the relay does not serve")
		}
	}
	d = diagnose(t, env)
	d.says(t, "address", "ok", "the relay answers at "+socket)
	d.none(t, "relay")
}
