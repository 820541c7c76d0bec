package host

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, root string, settings map[string]string) {
	t.Helper()
	for name, value := range settings {
		path := filepath.Join(append([]string{root}, strings.Split(name, ".")...)...)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(value+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// What is too little is found, with what it should be, and what is enough is not.
func TestLook(t *testing.T) {
	small, large := t.TempDir(), t.TempDir()
	write(t, small, map[string]string{
		"net.core.somaxconn": "128", "net.ipv4.tcp_max_syn_backlog": "512", "fs.file-max": "1000", "fs.nr_open": "1024",
		"net.ipv4.tcp_mem": "1 2 3", "net.ipv4.tcp_rmem": "65536\t131072\t6291456", "net.ipv4.tcp_wmem": "65536\t131072\t6291456",
		"net.ipv4.ip_local_port_range": "32768\t33000", "net.netfilter.nf_conntrack_max": "65536",
	})
	write(t, large, map[string]string{
		"net.core.somaxconn": "4096", "net.ipv4.tcp_max_syn_backlog": "4096", "fs.file-max": "9223372036854775807", "fs.nr_open": "1048576",
		"net.ipv4.tcp_mem": "90000 120000 200000", "net.ipv4.tcp_rmem": "4096\t131072\t6291456", "net.ipv4.tcp_wmem": "4096\t16384\t4194304",
		"net.ipv4.ip_local_port_range": "1024\t65535", "net.netfilter.nf_conntrack_max": "262144",
	})
	for root, enough := range map[string]bool{small: false, large: true} {
		list, err := Look(root, 60_000)
		if err != nil || len(list) != 9 {
			t.Fatalf("%d settings, %v", len(list), err)
		}
		for _, f := range list {
			if f.Value == "" || (f.Want == "") != enough {
				t.Errorf("%+v", f)
			}
		}
	}
	list, err := Look(t.TempDir(), 60_000)
	if err != nil || !strings.Contains(list[0].String(), "not visible") {
		t.Errorf("%v %v", list, err)
	}
	bad := t.TempDir()
	write(t, bad, map[string]string{"fs.nr_open": "many"})
	if _, err := Look(bad, 1); err == nil {
		t.Error("what is no number is taken")
	}
}
