package rendezvous

import (
	"encoding/hex"
	"reflect"
	"testing"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/card/cardtest"
	"cowrelay/cow/journaltest"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A record begins with its header as the library prints it, and reads back.
func TestHandle_Encode(t *testing.T) {
	for _, h := range []Handle{
		{Nick: "paul", DID: "did:wire:paul-0a1b2c3d", Card: []byte(`{}`)},
		{
			Nick: "paul", DID: "did:wire:\"p\\\u2028<\u00e9\x7f\t-0a1b2c3d", Slot: cow.ID{1, 0xff}, RelayURL: "https://relay.example:8443", ClaimedAt: time.Unix(1<<40, 0).UTC(),
			Discoverable: &no, By: 1<<64 - 1, Card: []byte(` {"profile": {"listed":false,"motto":"a\u00e9\n","vibe":[ "x" , 1.50 ],"now":1e999,"pronouns":{"b":1 ,"b":2},"emoji":"\u0058"} }`),
		},
		{Nick: "paul", DID: "", ClaimedAt: time.Unix(-5, 0).UTC(), Discoverable: &yes, By: 1, Card: []byte(`{"profile":{"emoji":7,"vibe":"calm"}}`)},
	} {
		value := h.Encode()
		got, err := DecodeHandle("paul", value)
		if err != nil {
			t.Fatalf("%s: %v", value, err)
		}
		header, err := json.Marshal(handleHeader{
			DID: h.DID, Slot: hex.EncodeToString(h.Slot[:]), RelayURL: h.RelayURL, ClaimedAt: h.ClaimedAt.Unix(), Discoverable: h.Discoverable,
			By: h.By, Unlisted: got.unlisted, Profile: got.profile,
		}, jsontext.AllowDuplicateNames(true), jsontext.PreserveRawStrings(true))
		if want := string(header) + "\n" + string(h.Card); err != nil || string(value) != want {
			t.Errorf("encoded as %s, want %s (%v)", value, want, err)
		}
		if cap(value) > len(value)+headerRoom {
			t.Errorf("%d bytes take %d", len(value), cap(value))
		}
		h.show(ProfileOf(h.Card))
		if h.ClaimedAt.IsZero() {
			h.ClaimedAt = time.Unix(h.ClaimedAt.Unix(), 0).UTC()
		}
		if !reflect.DeepEqual(got, h) {
			t.Errorf("read back as %+v, want %+v", got, h)
		}
	}
}

// What memory holds of a nick after a claim is what it would read from the record.
func TestClaim_MemoryIsTheRecord(t *testing.T) {
	d := openDesk(t, journaltest.NewMemory(), Options{})
	turn := func(nick, relayURL, profile string, discoverable *bool, by Source) {
		t.Helper()
		_, _, err := d.Handles.Claim(Claim{Nick: nick, Slot: d.slot, RelayURL: relayURL, Card: cardtest.New(nick, 0).Card(profile), Discoverable: discoverable, By: by})
		if err != nil {
			t.Fatal(err)
		}
		value, version, err := d.store.Records().Value(HandleKey(nick))
		if err != nil {
			t.Fatal(err)
		}
		h, err := DecodeHandle(nick, value)
		if err != nil {
			t.Fatal(err)
		}
		want := d.Handles.entryFor(&h)
		want.version = version
		if got := d.Handles.entry(nick); !reflect.DeepEqual(got, want) {
			t.Errorf("memory has %+v, the record says %+v", got, want)
		}
		rows, _ := d.page("", 10, nil)
		if len(d.Handles.writing) != 0 || int64(len(want.row)) != d.Handles.RowBytes() || (len(rows) == 1) != want.listed || d.Handles.Len() != 1 {
			t.Errorf("%d are written, %d bytes of rows, %d on the page", len(d.Handles.writing), d.Handles.RowBytes(), len(rows))
		}
	}
	turn("paul", "https://relay.example/", `{"emoji":"x","vibe":["Calm","éA\n",7]}`, nil, 7)
	turn("paul", "", `{"vibe":"V"}`, &yes, 8)
	turn("paul", "http://a:1", `{"listed":false}`, nil, 0)
	turn("paul", "http://a:1", `{"vibe":["1","2","3","4","5","6","7","8","9"]}`, nil, 0)
	turn("paul", "http://a:1", `{}`, &no, 0)
	turn("paul", "", `{}`, nil, 0)
	turn("paul", "", `{}`, &yes, 0)
	if err := d.Handles.Drop("paul"); err != nil || d.Handles.RowBytes() != 0 || len(d.Handles.mine) != 0 {
		t.Errorf("%v: %d bytes of rows, %v", err, d.Handles.RowBytes(), d.Handles.mine)
	}
	turn("test-x", "http://a:1", `{"vibe":"V"}`, nil, 3)
}
