package life

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// Limits, proxies and origins are settings that reach the relay, and that a
// reload changes.
func TestLimits_BySetting(t *testing.T) {
	path := relaytest.ConfigFile(t, "rate-limits = 'allocate=0.001/3'\ntrusted-proxies = '127.0.0.0/8'\nclient-address-header = 'Fly-Client-IP'\n")
	r := relaytest.Start(t, t.TempDir(), "--config", path)
	defer r.Stop()
	send := func(method string, headers ...string) *http.Response {
		t.Helper()
		req, err := http.NewRequest(method, r.URL+"/v1/slot/allocate", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp
	}
	allocate := func(pass int, headers ...string) {
		t.Helper()
		for range pass {
			if resp := send("POST", headers...); resp.StatusCode != 201 {
				t.Fatalf("%v: status %d", headers, resp.StatusCode)
			}
		}
		if resp := send("POST", headers...); resp.StatusCode != 429 || resp.Header.Get("Retry-After") == "" {
			t.Errorf("%v: status %d, %v", headers, resp.StatusCode, resp.Header)
		}
	}
	allocate(3, "Fly-Client-IP", "192.0.2.1", "X-Forwarded-For", "192.0.2.66")
	allocate(3, "Fly-Client-IP", "192.0.2.2", "X-Forwarded-For", "192.0.2.66")
	allocate(0, "Fly-Client-IP", "192.0.2.2", "X-Forwarded-For", "192.0.2.67")
	preflight := []string{"Origin", "https://a.example", "Access-Control-Request-Method", "POST"}
	if resp := send("OPTIONS", preflight...); resp.StatusCode != 405 {
		t.Errorf("OPTIONS: status %d", resp.StatusCode)
	}

	if err := os.WriteFile(path, []byte("rate-limits = 'allocate=0.001/4'\ntrusted-proxies = '127.0.0.0/8'\ncors-origins = 'https://a.example'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.Reload("configuration reloaded")
	allocate(4, "Fly-Client-IP", "192.0.2.2", "X-Forwarded-For", "192.0.2.66")
	if resp := send("OPTIONS", preflight...); resp.StatusCode != 204 || resp.Header.Get("Access-Control-Allow-Origin") != "https://a.example" {
		t.Errorf("OPTIONS: status %d, %v", resp.StatusCode, resp.Header)
	}
	for range 10 {
		if resp := send("POST"); resp.StatusCode != 201 {
			t.Errorf("loopback: status %d", resp.StatusCode)
		}
	}
}

func TestLimits_WrongSettings(t *testing.T) {
	_, errs, code := relaytest.Command(t, nil, "check-config", "--rate-limits=pull=1/1", "--trusted-proxies=nginx", "--client-address-header=", "--cors-origins=a.example")
	if code != 2 {
		t.Errorf("exit %d", code)
	}
	relaytest.Contains(t, errs, "--rate-limits", "allocate, post, read, stream, meet, other, handshake, total", "--trusted-proxies", `"nginx" is neither`, "--client-address-header",
		"--cors-origins", `"a.example" is no origin`)
}
