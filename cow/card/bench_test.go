package card

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

// bigCard is a card of 2 KB with what profiles have: text, links, lists, numbers.
func bigCard() (doc, signed []byte, a agent) {
	a = newAgent("paul")
	var profile strings.Builder
	profile.WriteString(`"profile":{"capabilities":[`)
	for i := range 12 {
		fmt.Fprintf(&profile, `{"name":"skill-%02d","summary":"reads and writes reports, links & tables","version":%d.5},`, i, i)
	}
	profile.WriteString(`"end"],"created":1700000000,"emoji":"🦊","links":{`)
	for i := range 10 {
		fmt.Fprintf(&profile, `"l%d":"https://agents.example.org/paul/%d",`, i, i)
	}
	profile.WriteString(`"z":null},"motto":"say \"hello\"\n"},"schema_version":"v3.2",`)
	signed = []byte(a.plain(profile.String()))
	return []byte(a.card(","+strings.TrimSuffix(profile.String(), ","), string(signed))), signed, a
}

func BenchmarkVerify(b *testing.B) {
	doc, signed, a := bigCard()
	signature := ed25519.Sign(a.key, signed)
	key := a.key.Public().(ed25519.PublicKey)
	b.Run("ed25519", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			ed25519.Verify(key, signed, signature)
		}
	})
	b.Run(fmt.Sprintf("card/bytes=%d", len(doc)), func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Verify(doc); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// deepEvent is an event of 256 KiB whose text lies under 124 objects. If moved, each
// of them has its keys in the wrong order, so that the text moves at each depth.
func deepEvent(moved bool) (doc []byte, c Card) {
	a := newAgent("paul")
	const depth = 124
	text := `"` + strings.Repeat("0123456789abcdef", 16<<10) + `"`
	sorted := strings.Repeat(`{"a":1,"b":`, depth) + text + strings.Repeat(`}`, depth)
	body := sorted
	if moved {
		body = strings.Repeat(`{"b":`, depth) + text + strings.Repeat(`,"a":1}`, depth)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, `{"body":%s,"from":%q}`, sorted, a.did))
	signature := base64.StdEncoding.EncodeToString(ed25519.Sign(a.key, sum[:]))
	doc = fmt.Appendf(nil, `{"body":%s,"from":%q,"event_id":%q,"signature":%q}`, body, a.did, hex.EncodeToString(sum[:]), signature)
	return doc, Card{DID: a.did, Key: a.key.Public().(ed25519.PublicKey)}
}

func BenchmarkVerifyEvent(b *testing.B) {
	for _, moved := range []bool{false, true} {
		doc, c := deepEvent(moved)
		b.Run(fmt.Sprintf("deep/moved=%v", moved), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(doc)))
			for b.Loop() {
				if _, err := VerifyEvent(doc, c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
