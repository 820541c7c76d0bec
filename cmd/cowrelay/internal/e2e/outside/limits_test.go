package outside

import (
	"os"
	"regexp"
	"strconv"
	"testing"

	"cowrelay/cmd/cowrelay/internal/config"
	"cowrelay/cmd/cowrelay/internal/plan"

	"github.com/BurntSushi/toml"
)

// The limits of open files in all deploy files are one, and enough for the connections
// that the relay takes by default; what a proxy lets through is less than the relay takes.
func TestDeploy_LimitsAgree(t *testing.T) {
	conns := 0
	for _, s := range config.Settings() {
		if s.Name == "max-connections" {
			conns, _ = strconv.Atoi(s.Value)
		}
	}
	f, err := plan.Files(conns)
	if err != nil || conns == 0 {
		t.Fatal(conns, err)
	}
	unit, err := os.ReadFile("../../../deploy/cowrelay.service")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^LimitNOFILE=(\d+)$`).FindSubmatch(unit)
	if found == nil {
		t.Fatal("cowrelay.service has no LimitNOFILE")
	}
	files, _ := strconv.Atoi(string(found[1]))
	if files < f.Enough() {
		t.Errorf("cowrelay.service: LimitNOFILE=%d, and %d connections need %d", files, conns, f.Enough())
	}
	var compose struct {
		Services map[string]struct {
			Environment map[string]string
			Secrets     []string
			Ulimits     struct{ Nofile struct{ Soft, Hard int } }
		}
		Secrets map[string]struct{ File string }
	}
	readYAML(t, "../../../deploy/compose.yml", &compose)
	relay := compose.Services["relay"]
	if n := relay.Ulimits.Nofile; n.Soft != files || n.Hard != files {
		t.Errorf("compose.yml: nofile %d and %d, and cowrelay.service has %d", n.Soft, n.Hard, files)
	}
	if len(relay.Secrets) != 1 || compose.Secrets[relay.Secrets[0]].File == "" || relay.Environment["COWRELAY_ADMIN_TOKEN_FILE"] != "/run/secrets/"+relay.Secrets[0] {
		t.Errorf("compose.yml: the admin token has no place: %+v", relay)
	}
	data, err := os.ReadFile("../../../deploy/fly.toml")
	if err != nil {
		t.Fatal(err)
	}
	var fly struct {
		Env         map[string]string
		HTTPService struct {
			Concurrency struct {
				Soft int `toml:"soft_limit"`
				Hard int `toml:"hard_limit"`
			}
		} `toml:"http_service"`
	}
	if err := toml.Unmarshal(data, &fly); err != nil {
		t.Fatal(err)
	}
	if most, err := strconv.Atoi(fly.Env["COWRELAY_MAX_CONNECTIONS"]); err != nil || fly.HTTPService.Concurrency.Hard >= most || fly.HTTPService.Concurrency.Soft >= fly.HTTPService.Concurrency.Hard || most > conns {
		t.Errorf("fly.toml: %d and %d connections pass, and the relay takes %d, %v", fly.HTTPService.Concurrency.Soft, fly.HTTPService.Concurrency.Hard, most, err)
	}
}
