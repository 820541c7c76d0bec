package event

import (
	"strings"
	"testing"
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
