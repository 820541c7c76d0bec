package outside

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/config"
	"cowrelay/cmd/cowrelay/internal/serve"

	"github.com/BurntSushi/toml"
)

// Every variable that the packaging sets is one that the relay reads, with a
// value that it takes.
func TestPackaging_VariablesAreSettings(t *testing.T) {
	variable := regexp.MustCompile(`\b(COWRELAY_[A-Z_]+)(?:=|: | = )"?([^\s"]*)`)
	for _, name := range []string{"Dockerfile", "compose.yml", "fly.toml", "fleet/compose.yml"} {
		data, err := os.ReadFile("../../../deploy/" + name)
		if err != nil {
			t.Fatal(err)
		}
		found := variable.FindAllStringSubmatch(string(data), -1)
		if len(found) == 0 {
			t.Errorf("%s sets nothing", name)
		}
		for _, m := range found {
			if m[1] == "COWRELAY_ADMIN_TOKEN_FILE" && m[2] == "/run/secrets/admin_token" {
				continue // there is no such file here: TestDeploy_LimitsAgree looks at it
			}
			settings := config.Settings()
			i := slices.IndexFunc(settings, func(s config.Setting) bool { return s.Env() == m[1] })
			if i < 0 {
				t.Errorf("%s: %s is no setting", name, m[1])
			} else if err := settings[i].Set(m[2]); err != nil {
				t.Errorf("%s: %s=%s: %v", name, m[1], m[2], err)
			}
		}
	}
}

// Whoever stops a relay leaves it more time than its drain may take.
func TestPackaging_DrainFits(t *testing.T) {
	c, err := config.Defaults()
	if err != nil {
		t.Fatal(err)
	}
	drain := c.DrainTimeout + serve.CloseTime
	var fly struct {
		KillTimeout string `toml:"kill_timeout"`
		HTTPService struct {
			Concurrency struct {
				Type      string
				HardLimit int `toml:"hard_limit"`
			}
		} `toml:"http_service"`
		Env map[string]string
	}
	if _, err := toml.DecodeFile("../../../deploy/fly.toml", &fly); err != nil {
		t.Fatal(err)
	}
	if d, err := time.ParseDuration(fly.KillTimeout); err != nil || d < drain {
		t.Errorf("fly.toml: kill_timeout %q", fly.KillTimeout)
	}
	if c := fly.HTTPService.Concurrency; c.Type != "connections" || c.HardLimit == 0 {
		t.Errorf("fly.toml: concurrency %+v", c)
	}
	var compose struct {
		Services map[string]struct {
			Grace    string   `yaml:"stop_grace_period"`
			ReadOnly bool     `yaml:"read_only"`
			CapDrop  []string `yaml:"cap_drop"`
		}
	}
	readYAML(t, "../../../deploy/compose.yml", &compose)
	if d, err := time.ParseDuration(compose.Services["relay"].Grace); err != nil || d < drain {
		t.Errorf("compose.yml: stop_grace_period %q", compose.Services["relay"].Grace)
	}
	for name, s := range compose.Services {
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) {
			t.Errorf("compose.yml: %s may write its root or has capabilities", name)
		}
	}
	readYAML(t, "../../../deploy/fleet/compose.yml", &compose)
	for _, name := range []string{"n1", "n2", "n3", "relay1", "relay2", "relay3"} {
		s := compose.Services[name]
		if d, err := time.ParseDuration(s.Grace); err != nil || d < drain {
			t.Errorf("fleet/compose.yml: %s: stop_grace_period %q", name, s.Grace)
		}
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) {
			t.Errorf("fleet/compose.yml: %s may write its root or has capabilities", name)
		}
	}
	unit, err := os.ReadFile("../../../deploy/cowrelay.service")
	if err != nil {
		t.Fatal(err)
	}
	stop := regexp.MustCompile(`(?m)^TimeoutStopSec=(\d+)$`).FindStringSubmatch(string(unit))
	if stop == nil {
		t.Fatal("cowrelay.service has no TimeoutStopSec")
	}
	if d, err := time.ParseDuration(stop[1] + "s"); err != nil || d < drain {
		t.Errorf("cowrelay.service: TimeoutStopSec=%s", stop[1])
	}
	for _, line := range []string{"Type=notify", "WatchdogSec=30", "NotifyAccess=main", "StateDirectory=cowrelay"} {
		if !strings.Contains(string(unit), "\n"+line+"\n") {
			t.Errorf("cowrelay.service lacks %s", line)
		}
	}
}
