//go:build real

package outside

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestReal_NginxKeepsSlotsTogether: nginx with the file of the manual.
func TestReal_NginxKeepsSlotsTogether(t *testing.T) {
	keepsSlotsTogether(t, "nginx.conf", func(replace func(old, by string), addr, dir string) (program string, args []string) {
		replace("listen 443 ssl;", "listen "+addr+";")
		replace("ssl_certificate     /etc/nginx/relay.crt;", "")
		replace("ssl_certificate_key /etc/nginx/relay.key;", "")
		replace("http {\n", "http {\naccess_log off; client_body_temp_path "+dir+"/b; proxy_temp_path "+dir+"/p; fastcgi_temp_path "+dir+"/f; uwsgi_temp_path "+dir+"/u; scgi_temp_path "+dir+"/s;\n")
		replace("http {\n", "daemon off; pid "+dir+"/pid; error_log "+dir+"/log;\nhttp {\n")
		program = "nginx"
		if path, err := exec.LookPath("/usr/sbin/nginx"); err == nil {
			program = path
		}
		return program, []string{"-e", dir + "/log", "-p", dir, "-c", dir + "/nginx.conf"}
	})
}

// TestReal_CaddyKeepsSlotsTogether: Caddy with the file of the manual.
func TestReal_CaddyKeepsSlotsTogether(t *testing.T) {
	keepsSlotsTogether(t, "Caddyfile", func(replace func(old, by string), addr, dir string) (program string, args []string) {
		replace("relay.example {\n", "{\n\tadmin off\n\tlog {\n\t\toutput file "+dir+"/log\n\t}\n}\nhttp://"+addr+" {\n")
		t.Setenv("XDG_DATA_HOME", dir)
		t.Setenv("XDG_CONFIG_HOME", dir)
		return "caddy", []string{"run", "--config", dir + "/Caddyfile", "--adapter", "caddyfile"}
	})
}

// keepsSlotsTogether: a balancer, with the file of the manual but for addresses, sends
// all requests of a slot to one relay, passes streams on at once, and passes over a
// relay that is gone. prepare changes the file, and says how the balancer is started: to
// serve an address, with its files in a folder. Its log is the file log there.
func keepsSlotsTogether(t *testing.T, name string, prepare func(replace func(old, by string), addr, dir string) (program string, args []string)) {
	const relays = 3
	var backends [relays]*httptest.Server
	text, err := os.ReadFile("../../../deploy/fleet/" + name)
	if err != nil {
		t.Fatal(err)
	}
	conf := string(text)
	replace := func(old, by string) {
		t.Helper()
		if !strings.Contains(conf, old) {
			t.Fatalf("%s lacks %q", name, old)
		}
		conf = strings.ReplaceAll(conf, old, by)
	}
	for i := range relays {
		backends[i] = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Relay", fmt.Sprint(i))
			w.Header().Set("X-Client", r.Header.Get("X-Forwarded-For"))
			if strings.HasSuffix(r.URL.Path, "/stream") {
				fmt.Fprint(w, ": first\n")
				w.(http.Flusher).Flush()
				<-r.Context().Done()
				return
			}
			n, _ := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, n)
		}))
		defer backends[i].Close()
		replace(fmt.Sprintf("relay%d.example:8770", i+1), backends[i].Listener.Addr().String())
	}
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := front.Addr().String()
	front.Close()
	dir := t.TempDir()
	program, args := prepare(replace, addr, dir)
	if err := os.WriteFile(filepath.Join(dir, name), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var said bytes.Buffer
	balancer := exec.CommandContext(ctx, program, args...)
	balancer.Stdout, balancer.Stderr = &said, &said
	balancer.Cancel = func() error { return balancer.Process.Signal(os.Interrupt) }
	if err := balancer.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); balancer.Wait() }()
	defer func() { cancel(); <-ended }()
	base := "http://" + addr
	ask := func(method, path string, body io.Reader) (relay string, reply *http.Response) {
		t.Helper()
		req, err := http.NewRequest(method, base+path, body)
		if err != nil {
			t.Fatal(err)
		}
		reply, err = http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer reply.Body.Close()
		text, err := io.ReadAll(reply.Body)
		if err != nil || reply.StatusCode != 200 {
			t.Fatalf("%s %s: %d %s %v", method, path, reply.StatusCode, text, err)
		}
		return reply.Header.Get("X-Relay"), reply
	}
	for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if reply, err := http.Get(base + "/healthz"); err == nil {
			reply.Body.Close()
			break
		} else if time.Since(start) > 20*time.Second {
			log, _ := os.ReadFile(dir + "/log")
			cancel()
			<-ended
			t.Fatalf("the balancer does not come up: %v\n%s%s", err, log, said.String())
		}
	}

	homes := make(map[string]string) // slot: relay
	seen := make(map[string]int)
	for n := range 60 {
		slot := fmt.Sprintf("%032x", n*7919+1)
		home, reply := ask("GET", "/v1/events/"+slot+"?limit=1", nil)
		if got := reply.Header.Get("X-Client"); got != "127.0.0.1" {
			t.Fatalf("the relay hears that the client is %q", got)
		}
		for _, p := range []string{"/v1/events/" + slot, "//v1/events/" + slot, "/v1/slot/" + slot + "/state"} {
			if got, _ := ask("POST", p, strings.NewReader("{}")); got != home {
				t.Fatalf("POST %s went to relay %s, the slot's others go to %s", p, got, home)
			}
		}
		homes[slot] = home
		seen[home]++
	}
	for i := range relays {
		if seen[fmt.Sprint(i)] < 6 {
			t.Errorf("slots are spread badly: %v", seen)
		}
	}
	if _, reply := ask("POST", "/v1/slot/allocate", strings.NewReader(strings.Repeat(" ", 2<<20))); reply.StatusCode != 200 {
		t.Errorf("a body of 2 MiB: %d", reply.StatusCode)
	}

	// The first comment of a stream comes through although the stream goes on.
	var any string
	for any = range homes {
		break
	}
	stream, err := http.Get(base + "/v1/events/" + any + "/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	line := make(chan string, 1)
	go func() {
		s, _ := bufio.NewReader(stream.Body).ReadString('\n')
		line <- s
	}()
	select {
	case s := <-line:
		if s != ": first\n" || stream.Header.Get("X-Relay") != homes[any] {
			t.Errorf("the stream begins with %q, from relay %s", s, stream.Header.Get("X-Relay"))
		}
	case <-time.After(20 * time.Second):
		t.Error("the balancer holds the stream back")
	}

	// A relay that is gone is passed over, and the slots of the others stay.
	gone := homes[any]
	var index int
	fmt.Sscan(gone, &index)
	backends[index].CloseClientConnections()
	backends[index].Close()
	for slot, home := range homes {
		got, _ := ask("GET", "/v1/events/"+slot, nil)
		if got == gone || home != gone && got != home {
			t.Fatalf("slot %s moved from relay %s to %s; relay %s is gone", slot, home, got, gone)
		}
	}
}
