package event

import (
	"errors"
	"strings"
	"testing"
)

// Check holds any document to the rules for all parsers, and to no others.
func TestCheck(t *testing.T) {
	for _, doc := range []string{
		`{}`, `null`, `"x"`, ` [1,2] `, `{"a":1,"a":2}`, `{"event":{"a":1,"a":2}}`, `{"event":{"event_id":"` + strings.Repeat("x", 200) + `"}}`,
		`{"event":1,"event":2}`, `1e308`, `{"x":"` + strings.Repeat("x", 2*MaxBytes) + `"}`, strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth),
	} {
		if err := Check([]byte(doc)); err != nil {
			t.Errorf("%.60s: %v", doc, err)
		}
	}
	for _, doc := range []string{
		``, ` `, `{`, `{}x`, `{} {}`, `01`, `1e309`, `{"x":[1e309]}`, `"\ud800"`, `{"\ud800":1}`, "\"\xff\"", "\"\x01\"", "\ufeff{}", `[1,]`, `NaN`,
		`{"x":{"$serde_json::private::RawValue":"1"}}`, strings.Repeat("[", MaxDepth+1) + strings.Repeat("]", MaxDepth+1),
	} {
		if err := Check([]byte(doc)); !errors.Is(err, ErrSyntax) {
			t.Errorf("%.60s: %v", doc, err)
		}
	}
}
