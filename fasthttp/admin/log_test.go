package admin

import (
	"log/slog"
	"strings"
	"testing"
)

// net/http logs panics with their values, which may hold a token.
func TestHTTPLog_HoldsNoToken(t *testing.T) {
	var book logBook
	log := slog.New(slog.NewTextHandler(&book, &slog.HandlerOptions{Level: slog.LevelDebug}))
	token := strings.Repeat("0123456789abcdef", 4)
	httpLog(log).Printf("http: panic serving 127.0.0.1:1: %s\n%s", token, token)
	httpLog(log).Print("http: Accept error: too many open files")
	text := book.String()
	if strings.Contains(text, token[:16]) {
		t.Errorf("the log holds a token:\n%s", text)
	}
	if !strings.Contains(text, "too many open files") || !strings.Contains(text, "a panic") {
		t.Errorf("%s", text)
	}
}
