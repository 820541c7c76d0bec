package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"unicode/utf16"
	"unicode/utf8"
)

// FuzzAccept holds Accept to the model below, and what it accepts to
// everything that mustAccept knows.
func FuzzAccept(f *testing.F) {
	names, err := filepath.Glob(filepath.Join("testdata", "hostile", "*", "*.json"))
	if err != nil || len(names) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, name := range names {
		body, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		if len(body) < 1<<12 {
			f.Add(body)
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) { agree(t, body) })
}

// FuzzFinite holds finite to exact arithmetic, but for the last few numbers in
// front of the infinite ones, where serde_json's rounding decides.
func FuzzFinite(f *testing.F) {
	for _, num := range []string{"0", "-1.5e300", "1e309", "0.0001e312", "1797693134862315708e290", "123456789012345678901e288", "0e999999999"} {
		f.Add(num)
	}
	f.Fuzz(func(t *testing.T, num string) {
		var v any
		d := json.NewDecoder(bytes.NewReader([]byte(num)))
		d.UseNumber()
		if len(num) > 2000 || d.Decode(&v) != nil {
			return
		}
		n, ok := v.(json.Number)
		if !ok || string(n) != num {
			return
		}
		want, sure := modelFinite(num)
		if got := finite([]byte(num)); sure && got != want {
			t.Fatalf("%q: finite says %v", num, got)
		}
	})
}

// agree fails when Accept and the model differ on a body.
func agree(t testing.TB, body []byte) {
	t.Helper()
	class := modelAccept(body)
	if errors.Is(class, errUnsure) {
		return
	}
	if class == nil {
		mustAccept(t, bytes.Clone(body))
	} else {
		mustRefuse(t, body, class)
	}
}

var errUnsure = errors.New("the model can't say")

// modelAccept is Accept again, slow and plain, from encoding/json and what
// the standard library knows of UTF-8, UTF-16 and numbers. It returns the class
// of the error.
func modelAccept(body []byte) error {
	if !utf8.Valid(body) || !json.Valid(body) || loneSurrogate(body) {
		return ErrSyntax
	}
	m := model{d: json.NewDecoder(bytes.NewReader(body))}
	m.d.UseNumber()
	switch m.value(1, nil); {
	case m.syntax:
		return ErrSyntax
	case m.unsure:
		return errUnsure
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(body, &members) != nil || m.events != 1 {
		return ErrShape
	}
	var event map[string]any
	if json.Unmarshal(members["event"], &event) != nil || event == nil {
		return ErrShape
	}
	if id, ok := event["event_id"].(string); ok && len(id) > 128 {
		return ErrShape
	}
	var compact bytes.Buffer
	if json.Compact(&compact, members["event"]); compact.Len() > 262_144 {
		return ErrTooLarge
	}
	return nil
}

type model struct {
	d              *json.Decoder
	events         int
	syntax, unsure bool
}

// value reads a value that would be at this level if it were an array or an
// object. path has the keys to it, with "[]" in place of an array's index.
func (m *model) value(level int, path []string) {
	token, err := m.d.Token()
	if err != nil {
		m.syntax = true
		return
	}
	if n, ok := token.(json.Number); ok {
		finite, sure := modelFinite(string(n))
		m.syntax = m.syntax || sure && !finite
		m.unsure = m.unsure || !sure
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return
	}
	m.syntax = m.syntax || level > 127
	isEvent := len(path) == 1 && path[0] == "event" && m.events == 1
	seen := map[string]bool{}
	for first := true; m.d.More() && !m.syntax; first = false {
		inner := append(path[:len(path):len(path)], "[]")
		if delim == '{' {
			token, _ := m.d.Token()
			key, _ := token.(string)
			inner[len(path)] = key
			m.syntax = m.syntax || first && key == "$serde_json::private::RawValue" || isEvent && seen[key]
			seen[key] = true
			if len(path) == 0 && key == "event" {
				m.events++
			}
		}
		m.value(level+1, inner)
	}
	m.d.Token()
}

// modelFinite compares with 1.79769313486231e308 in exact arithmetic. Between
// that and 1.7976931348624e308 it is not sure.
func modelFinite(num string) (finite, sure bool) {
	if f, err := strconv.ParseFloat(num, 64); err == nil && math.Abs(f) < 1e300 && len(num) < 5000 {
		return true, true
	}
	v, _, err := big.ParseFloat(num, 10, 200, big.ToNearestEven)
	if err != nil {
		return false, true // beyond what even its exponents hold
	}
	v.Abs(v)
	low, _, _ := big.ParseFloat("1.79769313486231e308", 10, 200, big.ToNearestEven)
	high, _, _ := big.ParseFloat("1.7976931348624e308", 10, 200, big.ToNearestEven)
	return v.Cmp(low) < 0, v.Cmp(low) < 0 || v.Cmp(high) > 0
}

// loneSurrogate looks for \u escapes of one half of a pair in valid JSON, in
// which a backslash occurs only in strings.
func loneSurrogate(text []byte) bool {
	unit := func(i int) (rune, bool) {
		if i+6 > len(text) || text[i] != '\\' || text[i+1] != 'u' {
			return 0, false
		}
		v, err := strconv.ParseUint(string(text[i+2:i+6]), 16, 16)
		return rune(v), err == nil
	}
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		r, ok := unit(i)
		if !ok {
			i++ // the escaped byte
			continue
		}
		i += 5
		if utf16.IsSurrogate(r) {
			second, _ := unit(i + 1)
			if utf16.DecodeRune(r, second) == utf8.RuneError {
				return true
			}
			i += 6
		}
	}
	return false
}
