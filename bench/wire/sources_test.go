package wire

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
	src := NewSources(l.Addr().String(), 1)
	from := map[string]int{}
	for range 2 * fewSources {
		c, err := DialFrom(t.Context(), src, l.Addr().String(), 64)
		if err != nil {
			t.Fatal(err)
		}
		at := c.TCP.LocalAddr().(*net.TCPAddr)
		from[at.IP.String()]++
		if at.Port == 0 {
			t.Error("no port")
		}
		c.Close()
	}
	if len(from) != fewSources || from["127.0.0.2"] != 2 || from["127.0.0.33"] != 2 {
		t.Errorf("connected from %v", from)
	}
	for _, addr := range []string{"10.0.0.1:80", "[::1]:80", "localhost:80"} {
		if NewSources(addr, 1) != nil {
			t.Errorf("sources for %s, from where loopback addresses may not lead", addr)
		}
	}
	if few, many := NewSources("127.0.0.1:1", 1), NewSources("127.0.0.1:1", 1<<40); len(few.addrs) != fewSources || len(many.addrs) != mostSources {
		t.Errorf("%d addresses for one connection, %d for very many", len(few.addrs), len(many.addrs))
	}
	// None leaves it to the system.
	c, err := DialFrom(t.Context(), nil, l.Addr().String(), 64)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestFitsPorts(t *testing.T) {
	if err := FitsPorts(200, 1000, 1099, 2); err != nil {
		t.Error(err)
	}
	err := FitsPorts(201, 1000, 1099, 2)
	if err == nil || !strings.Contains(err.Error(), "may make 201 connections") || !strings.Contains(err.Error(), "of 2 source addresses are 200: widen") {
		t.Errorf("fitsPorts = %v", err)
	}
	if from, to, err := parsePortRange("32768\t60999\n"); err != nil || from != 32768 || to != 60999 {
		t.Errorf("parsePortRange = %d, %d, %v", from, to, err)
	}
	for _, bad := range []string{"", "1", "a b", "5 4", "1 2 3"} {
		if _, _, err := parsePortRange(bad); err == nil {
			t.Errorf("parsePortRange(%q) gave no error", bad)
		}
	}
}
