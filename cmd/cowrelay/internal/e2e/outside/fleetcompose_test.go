package outside

import (
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

const fleetFolder = "../../../deploy/fleet/"

// fleetCompose is what the tests look at of the fleet's compose file.
type fleetCompose struct {
	Services map[string]composeService
	Volumes  map[string]any
	Secrets  map[string]struct{ Environment string }
}

type composeService struct {
	Command     []string
	Environment map[string]string
	Ports       []string
	Volumes     []string
	Secrets     []string
	DependsOn   []string `yaml:"depends_on"`
	Healthcheck struct{ Test []string }
	Build       struct{ Context, Dockerfile string }
}

// The compose file of a fleet agrees with itself, with nats.conf and with the
// Dockerfile: names of hosts, ports, volumes, secrets, variables. Each relay's
// environment passes check-config.
func TestFleetCompose_Agrees(t *testing.T) {
	var c fleetCompose
	readYAML(t, fleetFolder+"compose.yml", &c)
	conf := text(t, fleetFolder+"nats.conf")
	port := func(key string) string {
		m := regexp.MustCompile(`(?m)^\s*`+key+`: "0\.0\.0\.0:(\d+)"$`).FindAllStringSubmatch(conf, -1)
		if len(m) == 0 {
			t.Fatalf("nats.conf lacks %s", key)
		}
		return m[0][1]
	}
	clients, monitor := port("listen"), port("http")

	used := map[string]string{} // volume → service
	published := map[string]string{}
	var servers, relays []string
	for _, name := range slices.Sorted(maps.Keys(c.Services)) {
		s := c.Services[name]
		if s.Environment["NATS_NAME"] != "" {
			servers = append(servers, name)
		} else {
			relays = append(relays, name)
		}
		for _, v := range s.Volumes {
			from, _, ok := strings.Cut(v, ":")
			if !ok {
				t.Errorf("%s: volume %q", name, v)
			}
			if strings.HasPrefix(from, "./") {
				if _, err := os.Stat(fleetFolder + from); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				continue
			}
			if _, ok := c.Volumes[from]; !ok {
				t.Errorf("%s: no volume is called %s", name, from)
			}
			if other := used[from]; other != "" {
				t.Errorf("%s and %s share the volume %s", name, other, from)
			}
			used[from] = name
		}
		for _, p := range s.Ports {
			i := strings.LastIndexByte(p, ':')
			if other := published[p[:i]]; other != "" || !strings.HasPrefix(p, "127.0.0.1:") {
				t.Errorf("%s: port %s is for the public, or for %q too", name, p, other)
			}
			published[p[:i]] = name
		}
		for _, other := range s.DependsOn {
			if _, ok := c.Services[other]; !ok {
				t.Errorf("%s depends on %s, which is not there", name, other)
			}
		}
		for _, secret := range s.Secrets {
			if c.Secrets[secret].Environment == "" {
				t.Errorf("%s: the secret %s comes from nowhere", name, secret)
			}
		}
	}
	for v := range c.Volumes {
		if used[v] == "" {
			t.Errorf("nobody uses the volume %s", v)
		}
	}
	if len(servers) != 3 || len(relays) != 3 {
		t.Fatalf("servers %v, relays %v", servers, relays)
	}
	checkServers(t, &c, servers, conf, monitor)
	checkRelays(t, &c, relays, servers, clients, monitor)
}

func checkServers(t *testing.T, c *fleetCompose, servers []string, conf, monitor string) {
	var routes []string
	for _, m := range regexp.MustCompile(`nats-route://([^:"]+):`).FindAllStringSubmatch(conf, -1) {
		routes = append(routes, m[1])
	}
	if !slices.Equal(routes, servers) {
		t.Errorf("nats.conf has routes to %v, and the servers are %v", routes, servers)
	}
	for _, name := range servers {
		s := c.Services[name]
		for _, m := range regexp.MustCompile(`(?m)^[^#]*\$([A-Z_]+)`).FindAllStringSubmatch(regexp.MustCompile(`\$JS\.[^"]*`).ReplaceAllString(conf, ""), -1) {
			if s.Environment[m[1]] == "" {
				t.Errorf("%s: nats.conf wants the variable %s", name, m[1])
			}
		}
		if s.Environment["NATS_NAME"] != name {
			t.Errorf("%s is called %s", name, s.Environment["NATS_NAME"])
		}
		if !slices.Contains(s.Volumes, name+"-data:"+s.Environment["NATS_DATA"]) {
			t.Errorf("%s: the log is in no volume: %v", name, s.Volumes)
		}
		if i := slices.Index(s.Command, "-c"); i < 0 || !slices.ContainsFunc(s.Volumes, func(v string) bool { return strings.HasPrefix(v, "./nats.conf:"+s.Command[i+1]) }) {
			t.Errorf("%s starts with %v, and has %v", name, s.Command, s.Volumes)
		}
		if test := s.Healthcheck.Test; len(test) == 0 || !strings.Contains(test[len(test)-1], ":"+monitor+"/healthz") {
			t.Errorf("%s: the health check is %q", name, test)
		}
	}
}

func checkRelays(t *testing.T, c *fleetCompose, relays, servers []string, clients, monitor string) {
	docker := text(t, "../../../deploy/Dockerfile")
	image := map[string]string{}
	for _, m := range regexp.MustCompile(`\b(COWRELAY_[A-Z_]+)=(\S+)`).FindAllStringSubmatch(docker, -1) {
		image[m[1]] = m[2]
	}
	_, bind, err := net.SplitHostPort(image["COWRELAY_BIND"])
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, name := range relays {
		s := c.Services[name]
		for key, want := range map[string]string{"COWRELAY_NATS_URL": clients, "COWRELAY_NATS_MONITOR": monitor} {
			var hosts []string
			for part := range strings.SplitSeq(s.Environment[key], ",") {
				u, err := url.Parse(part)
				if err != nil || u.Port() != want {
					t.Errorf("%s: %s has %q, and nats.conf listens on %s", name, key, part, want)
					continue
				}
				hosts = append(hosts, u.Hostname())
			}
			if !slices.Equal(hosts, servers) {
				t.Errorf("%s: %s names %v, and the servers are %v", name, key, hosts, servers)
			}
		}
		if len(s.Secrets) != 1 || s.Environment["COWRELAY_NATS_CREDS"] != "/run/secrets/"+s.Secrets[0] {
			t.Errorf("%s: credentials %q, secrets %v", name, s.Environment["COWRELAY_NATS_CREDS"], s.Secrets)
		}
		if len(s.Ports) != 1 || !strings.HasSuffix(s.Ports[0], ":"+bind) {
			t.Errorf("%s: ports %v, and the image listens on %s", name, s.Ports, bind)
		}
		if !slices.Contains(s.Volumes, name+"-data:"+image["COWRELAY_DATA_DIR"]) {
			t.Errorf("%s: its data are in no volume: %v", name, s.Volumes)
		}
		if relay := s.Environment["COWRELAY_RELAY_NAME"]; relay == "" || names[relay] {
			t.Errorf("%s: the name %q", name, relay)
		} else {
			names[relay] = true
		}
		if _, err := os.Stat(filepath.Join(fleetFolder, s.Build.Context, s.Build.Dockerfile)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var env []string
		for _, from := range []map[string]string{image, s.Environment} {
			for k, v := range from {
				env = append(env, k+"="+v)
			}
		}
		out, errs, code := relaytest.Command(t, env, "check-config")
		if code != 0 || !strings.Contains(out, "configuration ok") || strings.Contains(errs, "warning") {
			t.Errorf("%s: check-config: exit %d\n%s%s", name, code, out, errs)
		}
		for k := range s.Environment {
			if flag := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(k, "COWRELAY_")), "_", "-"); !strings.Contains(out, "\n"+flag+"=") {
				t.Errorf("%s: check-config knows nothing of %s", name, k)
			}
		}
	}
}

func text(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
