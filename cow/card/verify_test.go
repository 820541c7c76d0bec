package card

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// agent signs documents in tests. Its key is the same in every run.
type agent struct {
	key ed25519.PrivateKey
	did string
}

func newAgent(nick string) agent {
	seed := sha256.Sum256([]byte(nick))
	key := ed25519.NewKeyFromSeed(seed[:])
	sum := sha256.Sum256(key.Public().(ed25519.PublicKey))
	return agent{key, didPrefix + nick + "-" + hex.EncodeToString(sum[:4])}
}

func (a agent) public() string {
	return base64.StdEncoding.EncodeToString(a.key.Public().(ed25519.PublicKey))
}

// card returns a signed card with further members, which begin with a comma if
// there are any. canonical are the bytes that are signed.
func (a agent) card(members, canonical string) string {
	signature := base64.StdEncoding.EncodeToString(ed25519.Sign(a.key, []byte(canonical)))
	return fmt.Sprintf(`{"did":%q,"signature":%q,"public_key_id":"k","verify_keys":{"ed25519:k":{"key":%q}}%s}`, a.did, signature, a.public(), members)
}

// plain is what is signed of a card whose further members, in canonical form,
// stand between did and verify_keys.
func (a agent) plain(between string) string {
	return fmt.Sprintf(`{"did":%q,%s"verify_keys":{"ed25519:k":{"key":%q}}}`, a.did, between, a.public())
}

func TestVerify_SignedCard(t *testing.T) {
	a := newAgent("paul")
	c, err := Verify([]byte(a.card("", a.plain(""))))
	if err != nil || c.DID != a.did || !c.Key.Equal(a.key.Public()) {
		t.Fatalf("got %v, %v", c, err)
	}
}

// Every number of the table once more, in a card that an agent signed.
func TestVerify_NumbersInCards(t *testing.T) {
	a := newAgent("paul")
	numberRows(t, func(raw, want string) {
		_, err := Verify([]byte(a.card(`,"n":`+raw, a.plain(`"n":`+want+`,`))))
		if want == "ERR" && !errors.Is(err, ErrInvalid) || want != "ERR" && err != nil {
			t.Errorf("a card with the number %s: %v", raw, err)
		}
	})
}

func TestVerify_CanonicalForm(t *testing.T) {
	a := newAgent("paul")
	for _, c := range []struct{ name, members, between string }{
		{"white space", " ,\n \"m\" :\t[ 1 , { } ,\r[ ] ] ", `"m":[1,{},[]],`},
		{"keys sorted at every depth", `,"m":{"b":1,"a":{"d":1,"c":2}}`, `"m":{"a":{"c":2,"d":1},"b":1},`},
		{"keys in the order of bytes, not of UTF-16", `,"m":{"\ud83e\udd8a":1,"\uffee":2}`, "\"m\":{\"\uffee\":2,\"\U0001f98a\":1},"},
		{"a repeated key, the last counts", `,"m":1,"m":{"a":1,"a":2}`, `"m":{"a":2},`},
		{"a repeated key, escaped", `,"m":1,"\u006d":2`, `"m":2,`},
		{"strings", `,"m":"\u0000\u001F\u007f\b\t\n\f\r\"\\\/<>&\u2028é"`, "\"m\":\"\\u0000\\u001f\u007f\\b\\t\\n\\f\\r\\\"\\\\/<>&\u2028é\","},
		{"key ids and signatures deeper are signed", `,"m":{"signature":1,"public_key_id":2}`, `"m":{"public_key_id":2,"signature":1},`},
		{"literals", `,"m":[true,false,null]`, `"m":[true,false,null],`},
	} {
		if _, err := Verify([]byte(a.card(c.members, a.plain(c.between)))); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestVerify_TheFirstKeySigns(t *testing.T) {
	a, b := newAgent("paul"), newAgent("mary")
	keys := fmt.Sprintf(`"verify_keys":{"b":{"key":%q},"a":{"key":%q}}`, b.public(), a.public())
	sorted := fmt.Sprintf(`"verify_keys":{"a":{"key":%q},"b":{"key":%q}}`, a.public(), b.public())
	for _, signer := range []agent{a, b} {
		signature := base64.StdEncoding.EncodeToString(ed25519.Sign(signer.key, fmt.Appendf(nil, `{"did":%q,%s}`, signer.did, sorted)))
		_, err := Verify(fmt.Appendf(nil, `{"did":%q,"signature":%q,%s}`, signer.did, signature, keys))
		if (err == nil) != (signer.did == a.did) {
			t.Errorf("signed by %s: %v", signer.did, err)
		}
	}
}

func TestVerify_Refuses(t *testing.T) {
	a := newAgent("paul")
	good := a.card("", a.plain(""))
	if _, err := Verify([]byte(good)); err != nil {
		t.Fatal(err)
	}
	sig := good[strings.Index(good, `"signature":"`)+13:][:88]
	change := func(from, to string) string {
		if !strings.Contains(good, from) {
			t.Fatalf("the card has no %s", from)
		}
		return strings.Replace(good, from, to, 1)
	}
	for name, doc := range map[string]string{
		"nothing":                     ``,
		"no object":                   `[1]`,
		"two documents":               good + good,
		"cut":                         good[:len(good)-1],
		"no signature":                change(`"signature":`, `"signatura":`),
		"signature of another type":   change(`"signature":"`+sig+`"`, `"signature":7`),
		"signature with a line break": change(sig, sig[:40]+`\n`+sig[40:]),
		"signature with a return":     change(sig, sig+`\r`),
		"signature without padding":   change(sig, sig[:86]),
		"signature in URL alphabet":   change(sig, strings.Repeat("-", 86)+"=="),
		"signature too short":         change(sig, base64.StdEncoding.EncodeToString(make([]byte, 63))),
		"signature of other bytes":    change(sig, base64.StdEncoding.EncodeToString(make([]byte, 64))),
		"loose bits behind":           change(sig, sig[:85]+string(rune(sig[85]+1))+"=="),
		"no keys":                     change(`{"ed25519:k":{"key":"`+a.public()+`"}}`, `{}`),
		"keys of another type":        change(`{"ed25519:k":{"key":"`+a.public()+`"}}`, `[]`),
		"a key of another type":       change(`{"key":"`+a.public()+`"}`, `"`+a.public()+`"`),
		"a key too long":              change(a.public(), base64.StdEncoding.EncodeToString(make([]byte, 33))),
		"another member":              change(`"did":`, `"more":1,"did":`),
		"did of another type":         change(`"did":"`+a.did+`"`, `"did":1`),
	} {
		if _, err := Verify([]byte(doc)); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestVerify_DIDCommitsToTheKey(t *testing.T) {
	a := newAgent("paul")
	hash := a.did[len(a.did)-8:]
	for did, ok := range map[string]bool{
		a.did:                               true,
		"did:wire:x-" + hash:                true,
		"did:wire:-" + hash:                 true,
		"did:wire:a-b-" + hash:              true,
		"did:wire:" + hash:                  false,
		"did:wire:op:paul-" + hash:          false,
		"did:wire:org:paul-" + hash:         false,
		"did:web:paul-" + hash:              false,
		"paul-" + hash:                      false,
		"did:wire:paul-" + hash + "-":       false,
		"did:wire:paul-00000000":            false,
		strings.ToUpper(a.did):              false,
		"did:wire:paul-" + hash[:7]:         false,
		"did:wire:" + hash + "-" + hash[1:]: false,
	} {
		b := a
		b.did = did
		if _, err := Verify([]byte(b.card("", b.plain("")))); (err == nil) != ok {
			t.Errorf("%s: %v", did, err)
		}
	}
}

func TestVerify_Depth(t *testing.T) {
	a := newAgent("paul")
	for depth, ok := range map[int]bool{1: true, MaxDepth - 1: true, MaxDepth: false, 9000: false} {
		m := strings.Repeat("[", depth) + strings.Repeat("]", depth)
		if _, err := Verify([]byte(a.card(`,"m":`+m, a.plain(`"m":`+m+`,`)))); (err == nil) != ok {
			t.Errorf("%d levels: %v", depth, err)
		}
	}
}

func TestVerifyEvent(t *testing.T) {
	a := newAgent("paul")
	card := Card{DID: a.did, Key: a.key.Public().(ed25519.PublicKey)}
	event := func(from, id string) []byte {
		signed := fmt.Sprintf(`{"from":%q,"kind":1100}`, from)
		sum := sha256.Sum256([]byte(signed))
		if id == "" {
			id = hex.EncodeToString(sum[:])
		}
		sig := base64.StdEncoding.EncodeToString(ed25519.Sign(a.key, sum[:]))
		return fmt.Appendf(nil, `{"kind":1100, "from":%q,"event_id":%q,"signature":%q,"public_key_id":"k"}`, from, id, sig)
	}
	for _, from := range []string{a.did, "paul"} {
		if ev, err := VerifyEvent(event(from, ""), card); err != nil || ev.From != from || len(ev.ID) != 64 {
			t.Errorf("from %s: %v, %v", from, ev, err)
		}
	}
	other := newAgent("mary")
	for name, err := range map[string]error{
		"another sender": second(VerifyEvent(event("mary", ""), card)),
		"another id":     second(VerifyEvent(event("paul", strings.Repeat("0", 64)), card)),
		"another key":    second(VerifyEvent(event("paul", ""), Card{DID: a.did, Key: other.key.Public().(ed25519.PublicKey)})),
		"no object":      second(VerifyEvent([]byte(`7`), card)),
	} {
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second(_ Event, err error) error { return err }

// Whatever comes, there is an answer. What is in canonical form is a document
// with the same keys, and printing it again moves none of them. (Its floats may
// change once more: agents don't read back what they print.)
func FuzzVerify(f *testing.F) {
	a := newAgent("paul")
	f.Add([]byte(a.card("", a.plain(""))))
	f.Add([]byte(`{"a":[1,{"b":-0}],"a":1e999}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		Verify(doc)
		samePlain(t, doc)
		o, err := split(doc)
		if err != nil {
			return
		}
		once, err := o.canonical()
		if err != nil {
			return
		}
		p, err := split(once)
		if err != nil {
			t.Fatalf("canonical form is no object: %v\n%s", err, once)
		}
		for i, m := range p {
			if i > 0 && p[i-1].key >= m.key || o.value(m.key) == nil {
				t.Fatalf("key %q does not belong there\n%s", m.key, once)
			}
		}
		for _, m := range o {
			if p.value(m.key) == nil {
				t.Fatalf("key %q is lost\n%s", m.key, once)
			}
		}
	})
}

// The profile is given as it stands in the card.
func TestVerify_Profile(t *testing.T) {
	a := newAgent("paul")
	for raw, canonical := range map[string]string{
		`,"profile" : { "b":1.50,"a":"\u0041" } `: `"profile":{"a":"A","b":1.5}`,
		`,"pro\u0066ile":1,"profile":[ ]`:         `"profile":[]`,
		`,"profile":{"x":{"profile":2}}`:          `"profile":{"x":{"profile":2}}`,
		",\"profile\"\t:\r\n\"::\"":               `"profile":"::"`,
		`,"profile":null`:                         `"profile":null`,
		``:                                        ``,
	} {
		signed := canonical
		if signed != "" {
			signed += ","
		}
		c, err := Verify([]byte(a.card(raw, a.plain(signed))))
		_, want, _ := strings.Cut(raw, ":")
		if strings.Contains(raw, "[ ]") {
			want = "[ ]"
		}
		if want = strings.Trim(want, " \r\n\t"); err != nil || string(c.Profile) != want || (c.Profile == nil) != (want == "") {
			t.Errorf("%s: %s, %v; want %s", raw, c.Profile, err, want)
		}
	}
}
