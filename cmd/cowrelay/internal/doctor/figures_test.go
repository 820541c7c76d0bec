package doctor

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	relayhttp "cowrelay/fasthttp"
)

// What doctor reads is what the relay prints.
func TestFigures_AreTheRelays(t *testing.T) {
	names := []string{"cowrelay_ready", "cowrelay_disk_free_bytes", "cowrelay_disk_reserve_bytes", "cowrelay_store_bytes", "cowrelay_journal_sync_duration_seconds"}
	for _, l := range limited {
		names = append(names, l.name, l.name+"_max")
	}
	for _, c := range counted {
		names = append(names, c.name)
	}
	printed := make(map[string]bool)
	for _, m := range relayhttp.MetricTable() {
		printed[m.Name] = true
	}
	for _, name := range names {
		if !printed[name] {
			t.Errorf("the relay prints no %s", name)
		}
	}
}

// Each figure that is bad is told of, and no other.
func TestFigures_Judged(t *testing.T) {
	const good = "# HELP x\ncowrelay_ready 1\ncowrelay_streams 79\ncowrelay_streams_max 100\ncowrelay_disk_free_bytes 1e12\ncowrelay_disk_reserve_bytes 1e9\n" +
		"cowrelay_panics_total 0\ncowrelay_journal_sync_duration_seconds_sum 1\ncowrelay_journal_sync_duration_seconds_count 100\n"
	for _, x := range []struct{ more, want string }{
		{"", ""},
		{"cowrelay_slots 80\ncowrelay_slots_max 100\n", "warning limits"},
		{"cowrelay_slots 95\ncowrelay_slots_max 100\n", "trouble limits"},
		{"process_open_fds 90\nprocess_max_fds 100\n", "warning limits"},
		{"cowrelay_long_polls 5\ncowrelay_long_polls_max 0\n", ""},
		{"cowrelay_journal_errors_total 1\n", "trouble store and log"},
		{"cowrelay_journal_torn_bytes 7\n", "warning store and log"},
		{`cowrelay_log_lines_dropped_total{reason="full"} 0` + "\n" + `cowrelay_log_lines_dropped_total{reason="error"} 2` + "\n", "warning store and log"},
		{"cowrelay_journal_sync_duration_seconds_sum 60\n", "warning store and log"},
		{"cowrelay_disk_reserve_bytes 6e11\n", "warning disk"},
		{"cowrelay_disk_reserve_bytes 2e12\n", "trouble disk"},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte(good + x.more)) }))
		e := examination{url: s.URL, limit: time.Minute}
		e.figures(context.Background(), s.URL)
		s.Close()
		var got []string
		for _, f := range e.found {
			if f.Status != ok {
				got = append(got, string(f.Status)+" "+f.Check)
			}
		}
		if len(e.found) != 3 || strings.Join(got, ", ") != x.want {
			t.Errorf("%q: %+v, want %q", x.more, e.found, x.want)
		}
	}
}

func TestClock_Judged(t *testing.T) {
	now := time.Now()
	for off, want := range map[time.Duration]status{0: ok, 4 * time.Second: ok, -4 * time.Second: ok, 8 * time.Second: warning, -8 * time.Second: warning, 2 * time.Minute: trouble, -2 * time.Minute: trouble} {
		var e examination
		e.clock(answer{sent: now, arrived: now.Add(time.Second), header: http.Header{"Date": {now.Add(off).UTC().Format(http.TimeFormat)}}})
		if len(e.found) != 1 || e.found[0].Status != want {
			t.Errorf("%v: %+v, want %v", off, e.found, want)
		}
	}
}
