package bench

import (
	"net"
	"strings"
	"testing"
)

func TestSources_spread(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	src := newSources(l.Addr().String(), 1)
	from := map[string]int{}
	for range 2 * fewSources {
		c, err := dialFrom(t.Context(), src, l.Addr().String(), 64)
		if err != nil {
			t.Fatal(err)
		}
		at := c.c.LocalAddr().(*net.TCPAddr)
		from[at.IP.String()]++
		if at.Port == 0 {
			t.Error("no port")
		}
		c.close()
	}
	if len(from) != fewSources || from["127.0.0.2"] != 2 || from["127.0.0.33"] != 2 {
		t.Errorf("connected from %v", from)
	}
	for _, addr := range []string{"10.0.0.1:80", "[::1]:80", "localhost:80"} {
		if newSources(addr, 1) != nil {
			t.Errorf("sources for %s, from where loopback addresses may not lead", addr)
		}
	}
	if few, many := newSources("127.0.0.1:1", 1), newSources("127.0.0.1:1", 1<<40); len(few.addrs) != fewSources || len(many.addrs) != mostSources {
		t.Errorf("%d addresses for one connection, %d for very many", len(few.addrs), len(many.addrs))
	}
	// None leaves it to the system.
	c, err := dialFrom(t.Context(), nil, l.Addr().String(), 64)
	if err != nil {
		t.Fatal(err)
	}
	c.close()
}

func TestFitsPorts(t *testing.T) {
	if err := fitsPorts(200, 1000, 1099, 2); err != nil {
		t.Error(err)
	}
	err := fitsPorts(201, 1000, 1099, 2)
	if err == nil || !strings.Contains(err.Error(), "may make 201 connections") || !strings.Contains(err.Error(), "of 2 source addresses are 200: widen") {
		t.Errorf("fitsPorts = %v", err)
	}
	if from, to, err := parsePortRange("32768\t60999\n"); err != nil || from != 32768 || to != 60999 {
		t.Errorf("parsePortRange = %d, %d, %v", from, to, err)
	}
	// Before anything is started.
	c := shortStreams(t)
	c.Rounds, c.ChurnStreams = 100, 1_000_000
	if err := Run(t.Context(), c, []string{"churn"}, nil); err == nil || !strings.Contains(err.Error(), "churn") || !strings.Contains(err.Error(), "ip_local_port_range") {
		t.Errorf("a run without enough ports: %v", err)
	}
	for _, bad := range []string{"", "1", "a b", "5 4", "1 2 3"} {
		if _, _, err := parsePortRange(bad); err == nil {
			t.Errorf("parsePortRange(%q) gave no error", bad)
		}
	}
}
