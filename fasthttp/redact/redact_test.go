package redact

import (
	"errors"
	"strings"
	"testing"
)

// A panic's value may quote a request, so only texts of our own are told.
func TestPanic_ToldValues(t *testing.T) {
	for _, row := range []struct {
		value any
		want  string
	}{
		{"BUG: the table is wrong", "BUG: the table is wrong"},
		{"head was \"Authorization: Bearer x\"", "a value of type string"},
		{errors.New("Bearer x"), "a value of type *errors.errorString"},
		{struct{ token string }{"x"}, "a value of type struct { token string }"},
	} {
		if got := Panic(row.value); got != row.want {
			t.Errorf("%v: %q, want %q", row.value, got, row.want)
		}
	}
}

// What could be a token is left out of paths and methods.
func TestPath_And_Method(t *testing.T) {
	id, token := strings.Repeat("a", 32), strings.Repeat("b", 64)
	for path, want := range map[string]string{
		"/v1/events/" + id:              "/v1/events/" + id,
		"/v1/events/" + token:           "/v1/events/…",
		"/v1/events/" + id + "/x" + id:  "/v1/events/" + id + "/…",
		token:                           "…",
		"/i/0123456789abcdef":           "/i/…",
		"/i/abcdef":                     "/i/…",
		"//i//abcdef/x?format=url":      "//i//…/x",
		"/I/abcdef":                     "/I/…",
		"/i/":                           "/i/",
		"/v1/pair":                      "/v1/pair",
		"/v1/pair/abandon":              "/v1/pair/abandon",
		"/v1/pair/" + id:                "/v1/pair/…",
		"/v1/pair/" + id + "/bootstrap": "/v1/pair/…/bootstrap",
		"/i/i/abcdef":                   "/i/…/…",
		"/v1/handle/claim/paul":         "/v1/handle/claim/paul",
		"":                              "",
	} {
		if got := Path(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	if Method("DELETE") != "DELETE" || Method("OPTIONS") != "OPTIONS" || Method(token) != "…" {
		t.Errorf("%s, %s", Method("DELETE"), Method(token))
	}
}
