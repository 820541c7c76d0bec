//go:build real

package outside

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
	"cowrelay/cow/natslog/natstest"
)

// Prometheus scrapes a relay that is alone and one of a fleet, evaluates our rules, and
// has an answer to every query of the dashboard; none of the alerts fires.
func TestReal_PrometheusAnswersOurDashboard(t *testing.T) {
	t.Parallel() // it waits, mostly
	r := relaytest.Start(t, t.TempDir())
	s := r.Allocate()
	st := relaytest.MustStream(r, s, "")
	defer st.Conn.Close()
	// Of a relay without a backup there is no age of the newest.
	if _, errs, code := relaytest.Command(t, nil, "backup", "--admin="+r.AdminURL, t.TempDir()); code != 0 {
		t.Fatalf("backup: exit %d: %s", code, errs)
	}
	nats := natstest.One(t, natstest.Config{})
	cert, key := relaytest.Certificate(t, t.TempDir(), 1, time.Now().Add(90*24*time.Hour))
	member := relaytest.Start(t, t.TempDir(), "--bind=https://127.0.0.1:0", "--tls-cert="+cert, "--tls-key="+key, "--journal=jetstream", "--nats-url="+nats.URL(), "--nats-replicas=1", "--trust-nats-sync")
	base := startPrometheus(t, strings.TrimPrefix(r.AdminURL, "http://"), strings.TrimPrefix(member.AdminURL, "http://"))

	// Of no alert there is a series, and rates want two scrapes.
	all := readDashboard(t).expressions()
	for where, expr := range all {
		if strings.Contains(expr, "ALERTS") || strings.Contains(expr, "changes(") {
			delete(all, where)
		}
	}
	for deadline := time.Now().Add(60 * time.Second); len(all) > 0 && !t.Failed(); time.Sleep(200 * time.Millisecond) {
		r.Post(s, fmt.Appendf(nil, `{"event_id":"%d"}`, time.Now().UnixNano()))
		r.Pull(s, "")
		for where, expr := range all {
			var found struct{ Result []any }
			if err := ask(base+"/api/v1/query?query="+url.QueryEscape(expr), &found); err == nil && len(found.Result) > 0 {
				delete(all, where)
			} else if time.Now().After(deadline) {
				t.Errorf("%s: %v, no answer to %s", where, err, expr)
			}
		}
	}

	if t.Failed() {
		return
	}
	var rules struct {
		Groups []struct {
			Rules []struct{ Name, Health, LastError, State string }
		}
	}
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		if err := ask(base+"/api/v1/rules", &rules); err != nil {
			t.Fatal(err)
		}
		unknown := 0
		for _, g := range rules.Groups {
			for _, rule := range g.Rules {
				switch {
				case rule.Health == "unknown": // not evaluated yet
					unknown++
				case rule.Health != "ok" || rule.State == "firing":
					t.Fatalf("rule %s: %s, %s %s", rule.Name, rule.Health, rule.State, rule.LastError)
				}
			}
		}
		if unknown == 0 && len(rules.Groups) > 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d rules are not evaluated", unknown)
		}
	}
}

// startPrometheus scrapes the target every second, and returns when it serves.
func startPrometheus(t *testing.T, targets ...string) (base string) {
	t.Helper()
	dir := t.TempDir()
	rules, err := filepath.Abs(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf(`global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [%q]
scrape_configs:
  - job_name: cowrelay
    static_configs: [{targets: [%s]}]
`, rules, `"`+strings.Join(targets, `", "`)+`"`)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0") // a port that is free
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	ln.Close()
	cmd := exec.Command("prometheus", "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	var log relaytest.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	base = "http://" + address
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		resp, err := http.Get(base + "/-/ready")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return base
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("prometheus does not serve: %v\n%s", err, log.String())
		}
	}
}

// ask reads the data of an answer of Prometheus.
func ask(address string, to any) error {
	resp, err := http.Get(address)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var answer struct {
		Error string
		Data  json.RawMessage
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Error != "" {
		return fmt.Errorf("prometheus: %s", answer.Error)
	}
	return json.Unmarshal(answer.Data, to)
}
