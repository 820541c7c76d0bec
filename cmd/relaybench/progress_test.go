package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestProgress_lines(t *testing.T) {
	var b bytes.Buffer
	now := time.Unix(1, 0)
	p := newProgressOn(&b, false, func() time.Time { return now })
	p.Show("post", 0.1, "round 1")
	p.Show("post", 0.2, "round 1") // too early for a second line
	now = now.Add(lineEvery)
	p.Show("post", 0.2, "round 2")
	p.Clear()
	p.Show("poll", 7, "round 1") // the first line of the next load waits for nothing
	want := "post:  10 % round 1\npost:  20 % round 2\npoll: 100 % round 1\n"
	if b.String() != want {
		t.Errorf("progress = %q, want %q", b.String(), want)
	}
}

func TestProgress_bar(t *testing.T) {
	var b bytes.Buffer
	now := time.Unix(1, 0)
	p := newProgressOn(&b, true, func() time.Time { return now })
	show := func(what string, part float64, step string) string {
		now = now.Add(barEvery)
		b.Reset()
		p.Show(what, part, step)
		return b.String()
	}
	f := func(got string, want ...string) {
		t.Helper()
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("bar %q lacks %q", got, w)
			}
		}
	}
	f(show("post", 0.5, "round 1"), "post: round 1", "50%")
	f(show("post", 2, "round 2"), "post: round 2", "99%")
	f(show("post", 0.25, "round 3"), "post: round 3", "25%") // a step begins anew
	b.Reset()
	p.Show("post", 0.3, "round 3")
	if b.Len() > 0 {
		t.Errorf("drawn again at once: %q", b.String())
	}
	p.Clear()
	if s := strings.Trim(b.String(), "\r "); s != "" {
		t.Errorf("clearing leaves %q", s)
	}
	f(show("poll", 0.75, "round 1"), "poll: round 1", "75%")
}
