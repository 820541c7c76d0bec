//go:build real

package outside

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cowrelay/cmd/cowrelay/internal/relaytest"

	"go.yaml.in/yaml/v3"
)

func promtool(t *testing.T, args ...string) (string, error) {
	t.Helper()
	out, err := exec.Command("promtool", args...).CombinedOutput()
	return string(out), err
}

// promtool accepts the rules, and every alert fires when it should and not when
// it shouldn't.
func TestReal_PromtoolAcceptsOurRules(t *testing.T) {
	if out, err := promtool(t, "check", "rules", rulesFile); err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}
	if out, err := promtool(t, "test", "rules", ruleTestsFile); err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}
	if out, err := promtool(t, "check", "config", "../../../deploy/prometheus/prometheus.yml"); err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}

// promtool reads every query of the dashboard as the expression of a rule.
func TestReal_PromtoolAcceptsOurDashboard(t *testing.T) {
	type rule struct{ Record, Expr string }
	check := func(all map[string]string) (string, error) {
		var rules []rule
		for _, expr := range all {
			rules = append(rules, rule{fmt.Sprintf("query:%d", len(rules)), expr})
		}
		data, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}})
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(t.TempDir(), "dashboard.yml")
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return promtool(t, "check", "rules", name)
	}
	all := readDashboard(t).expressions()
	if out, err := check(all); err != nil || len(all) < 50 {
		t.Errorf("promtool, of %d queries: %v\n%s", len(all), err, out)
	}
	// It must be able to say no.
	if out, err := check(map[string]string{"": "rate(cowrelay_streams)"}); err == nil {
		t.Errorf("promtool accepts nonsense: %s", out)
	}
}

// systemd reads the units, and finds them well shut in.
func TestReal_SystemdAcceptsOurUnits(t *testing.T) {
	for file, program := range map[string]string{
		"cowrelay.service":          "/usr/local/bin/cowrelay ",
		"fleet/nats-server.service": "/usr/local/bin/nats-server ",
	} {
		unit, err := os.ReadFile("../../../deploy/" + file)
		if err != nil {
			t.Fatal(err)
		}
		base := filepath.Base(file)
		name := filepath.Join(t.TempDir(), base)
		unit = bytes.ReplaceAll(unit, []byte(program), []byte(relaytest.Binary+" ")) // it has to exist
		if err := os.WriteFile(name, unit, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("systemd-analyze", "verify", "--man=no", name).CombinedOutput()
		if err != nil || bytes.Contains(out, []byte(base)) {
			t.Errorf("systemd-analyze verify: %v\n%s", err, out)
		}
		out, err = exec.Command("systemd-analyze", "security", "--offline=yes", "--threshold=20", "--no-pager", name).CombinedOutput()
		if err != nil {
			t.Errorf("systemd-analyze security: %v\n%s", err, out)
		}
	}
}

// systemd reads all units beside each other: a socket finds its service, and a timer
// finds what it starts.
func TestReal_SystemdAcceptsOurUnitsTogether(t *testing.T) {
	dir := t.TempDir()
	units := []string{"cowrelay.service", "cowrelay.socket", "cowrelay-backup.service", "cowrelay-backup.timer"}
	verify := func() (string, error) {
		args := []string{"verify", "--man=no"}
		for _, u := range units {
			args = append(args, filepath.Join(dir, u))
		}
		out, err := exec.Command("systemd-analyze", args...).CombinedOutput()
		return string(out), err
	}
	for _, u := range units {
		unit, err := os.ReadFile("../../../deploy/" + u)
		if err != nil {
			t.Fatal(err)
		}
		unit = bytes.ReplaceAll(unit, []byte("/usr/local/bin/cowrelay "), []byte(relaytest.Binary+" "))
		if err := os.WriteFile(filepath.Join(dir, u), unit, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := verify(); err != nil || strings.Contains(out, "cowrelay") {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	// It must be able to say no: a socket without its service.
	if err := os.Remove(filepath.Join(dir, "cowrelay.service")); err != nil {
		t.Fatal(err)
	}
	units = units[1:2]
	if out, err := verify(); err == nil {
		t.Errorf("systemd-analyze accepts a socket without a service: %s", out)
	}
}
