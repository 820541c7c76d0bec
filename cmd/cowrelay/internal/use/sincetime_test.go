package use

import (
	"testing"
	"time"
)

func TestReadTime(t *testing.T) {
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"10m": now.Add(-10 * time.Minute), "1h30m": now.Add(-90 * time.Minute), "2d": now.AddDate(0, 0, -2), "0s": {}, "1.5h": now.Add(-90 * time.Minute),
		"2026-03-01T12:00:00Z": time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), "2026-03-01T12:00:00.5+02:00": time.Date(2026, 3, 1, 10, 0, 0, 5e8, time.UTC),
		"2026-03-01": time.Date(2026, 3, 1, 0, 0, 0, 0, time.Local), "2026-03-01 04:05:06": time.Date(2026, 3, 1, 4, 5, 6, 0, time.Local),
		"": {}, "0": {}, "1": {}, "17": {}, "a": {}, "12345d": {}, "m": {}, "3d6f0a8c2b1e4f5a9c7d8e0f1a2b3c4d": {}, "10 m": {}, "2026-3-1": {},
	} {
		got, ok := readTime(text, now)
		if text == "0s" {
			want = now
		}
		if ok != !want.IsZero() || !got.Equal(want) {
			t.Errorf("%q: %v, %v, want %v", text, got, ok, want)
		}
	}
}

func TestEventTime(t *testing.T) {
	want := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for event, known := range map[string]bool{
		`{"timestamp":"2026-03-01T12:00:00Z"}`: true, `{"time":"2026-03-01T14:00:00+02:00"}`: true, `{"ts":1772366400}`: true, `{"ts":1772366400.0}`: true,
		`{"created_at":1772366400000}`: true, `{"ts":1772366400000000}`: true, `{"ts":1772366400000000000}`: true,
		`{"timestamp":null,"time":[],"ts":"1772366400","created_at":1772366400}`: true, `{"t\u0073":1772366400}`: true,
		`{}`: false, `{"ts":-1}`: false, `{"ts":0}`: false, `{"ts":1e300}`: false, `{"timestamp":"today"}`: false, `{"body":{"ts":1772366400}}`: false, `{"TS":1772366400}`: false,
	} {
		got, ok := eventTime([]byte(event), timeFields)
		if ok != known || ok && got.Sub(want).Abs() > time.Millisecond {
			t.Errorf("%s: %v, %v", event, got, ok)
		}
	}
}
