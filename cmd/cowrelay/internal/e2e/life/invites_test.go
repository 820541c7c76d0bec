package life

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
	"cowrelay/cow"
	"cowrelay/cow/engine"
	"cowrelay/cow/filelog"
	"cowrelay/cow/rendezvous"
)

// A relay has as many invites as it may, and as many records of those that have long
// been over. It gets room for new ones without a restart, and drops the old records.
func TestInvites_RoomAgain(t *testing.T) {
	t.Parallel()
	n := relaytest.Scale(500, 50_000, 50_000)
	dir := t.TempDir()
	open := func(sync filelog.Sync) *engine.Journal {
		t.Helper()
		l, err := engine.Open(dir, engine.Options{Sync: sync, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := open(filelog.Off)
	began := time.Now().Truncate(time.Second)
	ends := began.Add(time.Duration(relaytest.Scale(10, 30, 30)) * time.Second) // of those that are live at the start
	const longOver = 25 * time.Hour
	for i := range 2 * n {
		invite := rendezvous.Invite{
			Token: fmt.Sprintf("%016x", i), URL: fmt.Sprint("wire://pair?", i), Created: began.Add(-2 * longOver),
			Expires: ends, By: rendezvous.Source(1 + i%1000),
		}
		if i >= n {
			invite.Expires = began.Add(-longOver)
		}
		if _, err := l.Put(rendezvous.InviteKey(invite.Token), invite.Encode(), 0, cow.Totals{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if time.Now().After(ends) {
		t.Fatalf("writing the records took %v", time.Since(began))
	}
	r := relaytest.Start(t, dir, fmt.Sprintf("--max-invites=%d", n))
	if live := r.Metric("cowrelay_invites"); live != float64(n) {
		t.Fatalf("%v invites are live, want %d", live, n)
	}
	var nobody relaytest.Slot
	register := func(status int) {
		t.Helper()
		nobody.MustSend(t, status, "POST", r.URL+"/v1/invite/register", []byte(`{"invite_url":"wire://pair?new"}`))
	}
	if time.Until(ends) > time.Second {
		register(503)
	} else {
		t.Fatalf("the relay was ready after %v", time.Since(began))
	}
	time.Sleep(time.Until(ends))
	register(201)
	for deadline := time.Now().Add(3 * time.Minute); r.Metric("cowrelay_invites_swept_total") < float64(n); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%v of %d old records have been dropped", r.Metric("cowrelay_invites_swept_total"), n)
		}
	}
	t.Logf("the old records were dropped %v after the others had ended", time.Since(ends).Round(time.Millisecond))
	if live := r.Metric("cowrelay_invites"); live != 1 {
		t.Errorf("%v invites are live, want 1", live)
	}
	r.Stop()
	l = open(filelog.Always)
	defer l.Close()
	records := 0
	if err := l.List("invite/", func(string, []byte, uint64) error { records++; return nil }); err != nil {
		t.Fatal(err)
	}
	// Those that have just ended are still known, so that late clients get 410.
	if records != n+1 {
		t.Errorf("%d records are left, want %d", records, n+1)
	}
}
