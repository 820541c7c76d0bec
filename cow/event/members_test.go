package event

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

func TestMembers(t *testing.T) {
	for doc, want := range map[string]string{
		` { "a" : 1 , "b\u0041": [ {"x":2} ] ,"a":"\u00e9" } `: `a=1;bA=[ {"x":2} ];a="\u00e9";`,
		`[1, "x" ,{"a":[]}]`:      `=1;="x";={"a":[]};`,
		`{}`:                      ``,
		`[]`:                      ``,
		`"x"`:                     ``,
		`7`:                       ``,
		``:                        ``,
		`{"a":1,"b":`:             `a=1;`,
		`{"a":1,"b\ud800":2}`:     `a=1;`,
		`{"a":1]`:                 `a=1;`,
		`{"":null}`:               `=null;`,
		`{"a":1}{"b":2}`:          `a=1;`,
		strings.Repeat("[", 3000): ``,
	} {
		var got strings.Builder
		for name, value := range Members([]byte(doc)) {
			got.Write(name)
			got.WriteByte('=')
			got.Write(value)
			got.WriteByte(';')
		}
		if got.String() != want {
			t.Errorf("%.60s: %s, want %s", doc, got.String(), want)
		}
	}
}

// A loop that is left leaves nothing behind for the next one, also inside of another.
func TestMembers_Nested(t *testing.T) {
	n := 0
	for name, value := range Members([]byte(`{"a":[1,2,3],"b":[4,5],"c":[6]}`)) {
		for _, v := range Members(value) {
			n = n*10 + int(v[0]-'0')
			if string(v) == "2" {
				break
			}
		}
		if string(name) == "b" {
			break
		}
	}
	if n != 1245 {
		t.Errorf("read %d", n)
	}
}

// CheckMembers finds what Members gives.
func TestCheckMembers(t *testing.T) {
	keys := []string{"a", "bA", "c", "absent", ""}
	for _, doc := range []string{
		` { "a" : 1 , "b\u0041": [ {"a":2, "c":[]} ] ,"a":"\u00e9" } `, `{}`, `[]`, `1`, `"a"`, `null`, `["a",1]`, `[{"a":1}]`, `{"":{}}`,
		`{"c":{"a":{"a":1},"bA":[[]]},"bA":[],"x":{"c":1},"y":2}`, `{"x":[{"a":1}],"c":-0.5e1,"a":null,"bA":true}`, `{"c":1,"c":[ 2 ] ,"a":{"c":{}}}`,
	} {
		want := make([]jsontext.Value, len(keys))
		if jsontext.Value(doc).Kind() == '{' {
			for name, value := range Members([]byte(doc)) {
				if i := slices.Index(keys, string(name)); i >= 0 {
					want[i] = value
				}
			}
		}
		got := make([]jsontext.Value, len(keys))
		got[3] = jsontext.Value("of another document")
		if err := CheckMembers([]byte(doc), keys, got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %s, %v; want %s", doc, got, err, want)
		}
		got[3] = jsontext.Value("of another document")
		if err := CheckMembers([]byte(doc+"]"), keys, got); !errors.Is(err, ErrSyntax) || slices.ContainsFunc(got, func(v jsontext.Value) bool { return v != nil }) {
			t.Errorf("%s]: %s, %v", doc, got, err)
		}
	}
}
