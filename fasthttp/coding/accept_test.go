package coding

import (
	"testing"
)

func TestParseSet(t *testing.T) {
	for text, want := range map[string]Set{"off": 0, "gzip": 1 << Gzip, "zstd": 1 << Zstd, "zstd, gzip": 1<<Gzip | 1<<Zstd} {
		if got, err := ParseSet(text); err != nil || got != want {
			t.Errorf("%q: %b, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "br", "gzip,off", "gzip,,zstd", "GZIP"} {
		if _, err := ParseSet(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestChoose(t *testing.T) {
	both, _ := ParseSet("gzip,zstd")
	gzip, _ := ParseSet("gzip")
	zstd, _ := ParseSet("zstd")
	for _, c := range []struct {
		offered Set
		headers []string
		want    Choice
	}{
		{both, nil, Choice{}},
		{both, []string{""}, Choice{}},
		{both, []string{"identity"}, Choice{}},
		{both, []string{"deflate, br"}, Choice{}},
		{both, []string{"gzip"}, Choice{Coding: Gzip}},
		{both, []string{"GZip"}, Choice{Coding: Gzip}},
		{both, []string{"x-gzip"}, Choice{Coding: Gzip}},
		{both, []string{"zstd, gzip, deflate, br"}, Choice{Coding: Gzip}},
		{both, []string{"gzip;q=0.9", "zstd"}, Choice{Coding: Zstd}},
		{both, []string{"zstd;q=0.5, gzip;q=0.8"}, Choice{Coding: Gzip}},
		{both, []string{"zstd;q=0.8, gzip;q=0.5"}, Choice{Coding: Zstd}},
		{both, []string{"gzip;q=0"}, Choice{}},
		{both, []string{"gzip;q=0.000, zstd;q=0.001"}, Choice{Coding: Zstd}},
		{both, []string{"gzip ; q=1.000 , br"}, Choice{Coding: Gzip}},
		{both, []string{"gzip;q=0.5, identity"}, Choice{}},
		{both, []string{"gzip;q=0.5, identity;q=0.4"}, Choice{Coding: Gzip}},
		{both, []string{"*"}, Choice{Coding: Gzip}},
		{both, []string{"*;q=0"}, Choice{}},
		{both, []string{"*;q=0, zstd"}, Choice{Zstd, true}},
		{both, []string{"gzip;q=0, *"}, Choice{}},
		{both, []string{"gzip, identity;q=0"}, Choice{Gzip, true}},
		{both, []string{"gzip, *;q=0, identity"}, Choice{Coding: Gzip}},
		{both, []string{"gzip;q=2"}, Choice{}}, // what can't be read is not welcome
		{both, []string{"gzip;q="}, Choice{}},
		{both, []string{"gzip;q=0.5555"}, Choice{}},
		{both, []string{"gzip;q=1x"}, Choice{}},
		{both, []string{"gzip;q=-1"}, Choice{}},
		{both, []string{"gzip;level=9;q=0.1"}, Choice{Coding: Gzip}},
		{both, []string{",,;q=1,gzip,"}, Choice{Coding: Gzip}},
		{gzip, []string{"zstd"}, Choice{}},
		{gzip, []string{"zstd, gzip;q=0.1"}, Choice{Coding: Gzip}},
		{zstd, []string{"gzip, *"}, Choice{}},
		{0, []string{"gzip, zstd"}, Choice{}},
	} {
		var headers [][]byte
		for _, h := range c.headers {
			headers = append(headers, []byte(h))
		}
		if got := c.offered.Choose(headers); got != c.want {
			t.Errorf("%b %q: %v %v, want %v %v", c.offered, c.headers, got.Coding, got.Must, c.want.Coding, c.want.Must)
		}
	}
}

func FuzzChoose(f *testing.F) {
	f.Add("gzip;q=0.5, *;q=0")
	f.Fuzz(func(t *testing.T, header string) {
		both, _ := ParseSet("gzip,zstd")
		if c := both.Choose([][]byte{[]byte(header)}); c.Must && c.Coding == Identity {
			t.Errorf("%q: %+v", header, c)
		}
	})
}
