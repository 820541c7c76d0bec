// Under the race detector sync.Pool drops what is put at random.

//go:build !race

package event

import (
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

func TestMembers_Allocations(t *testing.T) {
	doc := []byte(`{"a":1,"b\u0041":["x","y"],"c":{"d":null}}`)
	plain := []byte(`{"a":1,"b":["x","y"],"c":{"d":null}}`)
	total := 0
	keys := []string{"a", "c"}
	n := testing.AllocsPerRun(200, func() {
		for name, value := range Members(doc) {
			total += len(name)
			for _, v := range Members(value) {
				total += len(v)
			}
		}
		var values [2]jsontext.Value
		CheckMembers(plain, keys, values[:])
		total += len(values[1])
	})
	if n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func TestEphemeral_Allocs(t *testing.T) {
	doc := []byte(`{"event_id":"a","kind":100,"body":{"x":[1,2,3]}}`)
	if n := testing.AllocsPerRun(100, func() { Ephemeral(doc) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
