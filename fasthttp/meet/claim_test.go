package meet

import (
	"fmt"
	"testing"

	"cowrelay/cow"
)

// What is read of a claim's body: the last of repeated keys, names and texts without
// their escapes, and the card as it stands.
func TestReadClaim(t *testing.T) {
	const slot = `"slot_id":"00112233445566778899aabbccddeeff"`
	for body, want := range map[string]string{
		`{"nick":"paul",` + slot + `,"card":{"a":1}}`:                                                       `paul 00112233445566778899aabbccddeeff "" <nil> {"a":1}`,
		`{"card": [ 1 ] ,"n\u0069ck":"p\u0061ul",` + slot + `,"relay_url":"http:\/\/x"}`:                    `paul 00112233445566778899aabbccddeeff "http://x" <nil> [ 1 ]`,
		`{"nick":"paul",` + slot + `,"card":null,"relay_url":null,"discoverable":null}`:                     `paul 00112233445566778899aabbccddeeff "" <nil> null`,
		`{"nick":"paul",` + slot + `,"card":1,"discoverable":false,"other":{"nick":"x"}}`:                   `paul 00112233445566778899aabbccddeeff "" false 1`,
		`{"nick":"a","card":1,"nick":"b",` + slot + `,"discoverable":false,"card":"2","discoverable":true}`: `b 00112233445566778899aabbccddeeff "" true "2"`,
		`{"nick":"",` + slot + `,"card":{}}`:                                                                ` 00112233445566778899aabbccddeeff "" <nil> {}`,
	} {
		id, c, err := readClaim([]byte(body))
		discoverable := "<nil>"
		if c.Discoverable != nil {
			discoverable = fmt.Sprint(*c.Discoverable)
		}
		if got := fmt.Sprintf("%s %s %q %s %s", c.Nick, id, c.RelayURL, discoverable, c.Card); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", body, got, err, want)
		}
	}
	for _, body := range []string{
		``, `{`, `null`, `1`, `"nick"`, `[]`, `{}`, `["nick","paul"]`, `[{"nick":"paul",` + slot + `,"card":{}}]`,
		`{"nick":null,` + slot + `,"card":{}}`, `{"nick":7,` + slot + `,"card":{}}`, `{` + slot + `,"card":{}}`, `{"Nick":"paul",` + slot + `,"card":{}}`,
		`{"nick":"paul","slot_id":7,"card":{}}`, `{"nick":"paul","slot_id":null,"card":{}}`, `{"nick":"paul","card":{}}`,
		`{"nick":"paul",` + slot + `}`, `{"nick":"paul",` + slot + `,"card":{},"relay_url":7}`, `{"nick":"paul",` + slot + `,"card":{},"relay_url":{}}`,
		`{"nick":"paul",` + slot + `,"card":{},"discoverable":"true"}`, `{"nick":"paul",` + slot + `,"card":{},"discoverable":1}`,
	} {
		if _, c, err := readClaim([]byte(body)); err == nil {
			t.Errorf("%s is taken as %+v", body, c)
		}
		if _, err := Claim(nil, 0, []byte(body), nil); err == nil {
			t.Errorf("%s: no error", body)
		}
	}
}

// A claim may keep nothing of its body, which is overwritten by the next one.
func TestClaim_BodyIsGivenBack(t *testing.T) {
	desk, slot := openDesk(t)
	body := claimBody(slot, 0)
	want := string(body)
	reply, err := Claim(desk.Handles, 0, body, func(cow.ID) (*cow.Slot, error) { return slot, nil })
	clear(body)
	if err != nil {
		t.Fatal(err)
	}
	h, _, err := desk.Handles.Lookup("paul")
	if err != nil || string(reply) != `{"nick":"paul","did":"`+h.DID+`","status":"claimed"}` {
		t.Errorf("%s, %v", reply, err)
	}
	if body := fmt.Sprintf(`{"nick":"paul","slot_id":"%s","relay_url":"%s","card":%s}`, h.Slot, h.RelayURL, h.Card); body != want {
		t.Errorf("recorded is %s", body)
	}
	page, err := Handles(desk.Handles, "", nil, nil)
	if err != nil || page.Size() < 200 {
		t.Error(page, err)
	}
}
