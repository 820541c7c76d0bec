package card

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
)

// didOf is the DID that commits to a key.
func didOf(key []byte) string {
	sum := sha256.Sum256(key)
	return didPrefix + "paul-" + hex.EncodeToString(sum[:4])
}

// verifies says whether Verify takes a document. An error must be one of ErrInvalid.
func verifies(t *testing.T, doc string) bool {
	t.Helper()
	_, err := Verify([]byte(doc))
	if err != nil && !errors.Is(err, ErrInvalid) {
		t.Errorf("%s: %v", doc, err)
	}
	return err == nil
}

// base64Cases spell a text of base64 in JSON. plain is how the spelling is printed in
// canonical form, if not as it is.
var base64Cases = []struct {
	name  string
	ok    bool
	spell func(text string) string
	plain func(text string) string
}{
	{"as it is", true, func(s string) string { return s }, nil},
	{"each character as an escape", true, func(s string) string {
		var b strings.Builder
		for _, c := range s {
			fmt.Fprintf(&b, `\u%04X`, c)
		}
		return b.String()
	}, func(s string) string { return s }},
	{"slashes as escapes", true, func(s string) string { return strings.ReplaceAll(s, "/", `\/`) }, func(s string) string { return s }},
	{"nothing", false, func(string) string { return "" }, nil},
	{"without padding", false, func(s string) string { return strings.TrimRight(s, "=") }, nil},
	{"more padding", false, func(s string) string { return s + "=" }, nil},
	{"another group", false, func(s string) string { return s + "AAAA" }, nil},
	{"a group less", false, func(s string) string { return s[4:] }, nil},
	{"padding in front", false, func(s string) string { return "=" + s[:len(s)-1] }, nil},
	{"the URL alphabet", false, func(s string) string { return strings.NewReplacer("+", "-", "/", "_").Replace(s) }, nil},
	{"loose bits", false, func(s string) string {
		i := strings.IndexByte(s, '=') - 1
		return s[:i] + string(s[i]+1) + s[i+1:]
	}, nil},
	{"a line break within", false, func(s string) string { return s[:20] + `\n` + s[20:] }, nil},
	{"a line break behind", false, func(s string) string { return s + `\n` }, nil},
	{"a line break in front", false, func(s string) string { return `\n` + s }, nil},
	{"a return behind", false, func(s string) string { return s + `\r` }, nil},
	{"a return and no padding", false, func(s string) string { return strings.Replace(s, "=", `\r`, 1) }, nil},
	{"line breaks instead of a group", false, func(s string) string { return `\n\r\n\r` + s[4:] }, nil},
	{"a blank", false, func(s string) string { return " " + s }, nil},
	{"a zero byte", false, func(s string) string { return s + `\u0000` }, nil},
	{"a character beyond ASCII", false, func(s string) string { return "é" + s[2:] }, nil},
}

// base64Agent returns an agent whose key in base64 has a plus and a slash.
func base64Agent() agent {
	for i := 0; ; i++ {
		a := newAgent(fmt.Sprint("paul", i))
		if strings.Contains(a.public(), "+") && strings.Contains(a.public(), "/") {
			return a
		}
	}
}

func TestBase64(t *testing.T) {
	a := base64Agent()
	want := a.key.Public().(ed25519.PublicKey)
	for _, c := range base64Cases {
		d, err := parse([]byte(`{"key":"` + c.spell(a.public()) + `"}`))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		got := make([]byte, len(want))
		if err := d.bytes(got, "key"); (err == nil) != c.ok || c.ok && !bytes.Equal(got, want) {
			t.Errorf("%s: %x, %v", c.name, got, err)
		}
		d.free()
	}
}

// The card is signed over the key as it is spelled, so that nothing else is wrong.
func TestBase64_InSignedCards(t *testing.T) {
	a := base64Agent()
	for _, c := range base64Cases {
		plain := c.plain
		if plain == nil {
			plain = c.spell
		}
		form := `{"did":"` + a.did + `",%s"verify_keys":{"k":{"key":"%s"}}}`
		signature := base64.StdEncoding.EncodeToString(ed25519.Sign(a.key, fmt.Appendf(nil, form, "", plain(a.public()))))
		if verifies(t, fmt.Sprintf(form, `"signature":"`+signature+`",`, c.spell(a.public()))) != c.ok {
			t.Errorf("a key, %s: want %v", c.name, c.ok)
		}
		// Some signature has a plus and a slash: a member changes it.
		for i := 0; ; i++ {
			form := `{"did":"` + a.did + `","n":` + fmt.Sprint(i) + `,%s"verify_keys":{"k":{"key":"` + a.public() + `"}}}`
			signature := base64.StdEncoding.EncodeToString(ed25519.Sign(a.key, fmt.Appendf(nil, form, "")))
			if !strings.Contains(signature, "+") || !strings.Contains(signature, "/") {
				continue
			}
			if verifies(t, fmt.Sprintf(form, `"signature":"`+c.spell(signature)+`",`)) != c.ok {
				t.Errorf("a signature, %s: want %v", c.name, c.ok)
			}
			break
		}
	}
}

// plusOrder adds the order of the group to the second half of a signature. Verifiers
// that don't mind take two signatures for one.
func plusOrder(signature []byte) []byte {
	order, _ := new(big.Int).SetString("27742317777372353535851937790883648493", 10)
	order.Add(order, new(big.Int).Lsh(big.NewInt(1), 252))
	s := slices.Clone(signature[32:])
	slices.Reverse(s)
	order.Add(order, new(big.Int).SetBytes(s))
	s = order.FillBytes(make([]byte, 32))
	slices.Reverse(s)
	return append(slices.Clone(signature[:32]), s...)
}

func flip(b []byte, at int) []byte {
	b = slices.Clone(b)
	b[at] ^= 1
	return b
}

// ed25519Cases sign a text. A point of small order as a key takes one signature for
// every text. It is a key all the same: its DID is its own, and no other's.
var ed25519Cases = func() []ed25519Case {
	a := newAgent("paul")
	key := a.key.Public().(ed25519.PublicKey)
	point := func(first, rest, last byte) []byte {
		p := bytes.Repeat([]byte{rest}, 32)
		p[0], p[31] = first, last
		return p
	}
	one := point(1, 0, 0)
	always := func(sig ...[]byte) func([]byte) []byte {
		return func([]byte) []byte { return bytes.Join(sig, nil) }
	}
	zero := make([]byte, 32)
	return []ed25519Case{
		{"as it is", true, key, func(m []byte) []byte { return ed25519.Sign(a.key, m) }},
		{"another text", false, key, func(m []byte) []byte { return ed25519.Sign(a.key, append(m, ' ')) }},
		{"another key", false, key, func(m []byte) []byte { return ed25519.Sign(newAgent("mary").key, m) }},
		{"a bit of the first half", false, key, func(m []byte) []byte { return flip(ed25519.Sign(a.key, m), 3) }},
		{"a bit of the second half", false, key, func(m []byte) []byte { return flip(ed25519.Sign(a.key, m), 35) }},
		{"the second half and the order", false, key, func(m []byte) []byte { return plusOrder(ed25519.Sign(a.key, m)) }},
		{"halves exchanged", false, key, func(m []byte) []byte { s := ed25519.Sign(a.key, m); return append(s[32:64:64], s[:32]...) }},
		{"of the hash of the text", false, key, func(m []byte) []byte { h := sha256.Sum256(m); return ed25519.Sign(a.key, h[:]) }},
		{"zeros", false, key, always(zero, zero)},
		{"all bits set", false, key, always(bytes.Repeat([]byte{0xff}, 64))},
		{"a key that is no point", false, point(2, 0, 0), always(one, zero)},
		{"a key of small order", true, one, always(one, zero)},
		{"a key of small order with a wrong signature", false, one, always(one, one)},
		{"a key of small order with a wrong first half", false, one, always(zero, zero)},
		{"a first half that is not reduced", false, one, always(point(0xee, 0xff, 0x7f), zero)},
	}
}()

type ed25519Case struct {
	name string
	ok   bool
	key  []byte
	sign func(text []byte) []byte
}

func TestEd25519(t *testing.T) {
	for _, c := range ed25519Cases {
		text := []byte("a text")
		if ed25519.Verify(c.key, text, c.sign(slices.Clone(text))) != c.ok {
			t.Errorf("%s: want %v", c.name, c.ok)
		}
	}
}

func TestEd25519_InSignedCards(t *testing.T) {
	for _, c := range ed25519Cases {
		form := fmt.Sprintf(`{"did":%q,%%s"verify_keys":{"k":{"key":%q}}}`, didOf(c.key), base64.StdEncoding.EncodeToString(c.key))
		signature := base64.StdEncoding.EncodeToString(c.sign(fmt.Appendf(nil, form, "")))
		if verifies(t, fmt.Sprintf(form, `"signature":"`+signature+`",`)) != c.ok {
			t.Errorf("%s: want %v", c.name, c.ok)
		}
	}
}

// keyOrder has pairs of keys in the order of their bytes, each as it is spelled and as
// it is printed.
var keyOrder = [][2]struct{ spelled, printed string }{
	{{``, ``}, {`a`, `a`}},
	{{``, ``}, {`\u0000`, `\u0000`}},
	{{`a`, `a`}, {`b`, `b`}},
	{{`B`, `B`}, {`a`, `a`}},
	{{`a`, `a`}, {`aa`, `aa`}},
	{{`a`, `a`}, {`a\u0000`, `a\u0000`}},
	{{`1`, `1`}, {`10`, `10`}},
	{{`10`, `10`}, {`2`, `2`}},
	{{`\u0041`, `A`}, {`B`, `B`}},
	{{`A`, `A`}, {`\u0042`, `B`}},
	{{`a/`, `a/`}, {`a0`, `a0`}},
	{{`a\/`, `a/`}, {`a0`, `a0`}},
	{{`-`, `-`}, {`_`, `_`}},
	{{`z`, `z`}, {`é`, `é`}},
	{{`\u007f`, "\x7f"}, {`\u0080`, "\u0080"}},
	{{`e\u0301`, "e\u0301"}, {`\u00e9`, "\u00e9"}},
	{{`\uffee`, "\uffee"}, {`\ud83e\udd8a`, "\U0001f98a"}},
	{{`\uffff`, "\uffff"}, {`\ud800\udc00`, "\U00010000"}},
	{{`\u2028`, "\u2028"}, {`\u2029`, "\u2029"}},
	// An escape is printed with a backslash, 0x5c, and stands for another byte.
	{{`\"`, `\"`}, {`#`, `#`}},
	{{`!`, `!`}, {`\"`, `\"`}},
	{{`\"`, `\"`}, {`[`, `[`}},
	{{`\n`, `\n`}, {` `, ` `}},
	{{`\n`, `\n`}, {`A`, `A`}},
	{{`\u000A`, `\n`}, {`\u000d`, `\r`}},
	{{`\b`, `\b`}, {`\u001f`, `\u001f`}},
	{{`\u0007`, `\u0007`}, {`\b`, `\b`}},
	{{`\t`, `\t`}, {`\n`, `\n`}},
	{{`\n`, `\n`}, {`\u000b`, `\u000b`}},
	{{`\u000b`, `\u000b`}, {`\f`, `\f`}},
	{{`\f`, `\f`}, {`\r`, `\r`}},
	{{`\r`, `\r`}, {`\u000e`, `\u000e`}},
	{{`\u000f`, `\u000f`}, {`\u0010`, `\u0010`}},
	{{`[`, `[`}, {`\\`, `\\`}},
	{{`\\`, `\\`}, {`]`, `]`}},
	{{`\\`, `\\`}, {`\\\\`, `\\\\`}},
	{{`\"z`, `\"z`}, {`\\a`, `\\a`}},
	{{`a\"a`, `a\"a`}, {`aa\"`, `aa\"`}},
	{{`a\u0022`, `a\"`}, {`a\u005c`, `a\\`}},
}

func TestKeyOrder(t *testing.T) {
	for _, p := range keyOrder {
		want := fmt.Sprintf(`{"%s":1,"%s":2}`, p[0].printed, p[1].printed)
		for _, doc := range []string{
			fmt.Sprintf(`{"%s":1,"%s":2}`, p[0].spelled, p[1].spelled),
			fmt.Sprintf(`{"%s":2,"%s":1}`, p[1].spelled, p[0].spelled),
			fmt.Sprintf(`{"%s":7,"%s":2,"%s":1}`, p[0].spelled, p[1].spelled, p[0].spelled),
		} {
			for _, nested := range []string{`%s`, `{"x":%s}`, `{"x":[{},%s,1]}`} {
				d, err := parse(fmt.Appendf(nil, nested, doc))
				if err != nil {
					t.Fatalf("%s: %v", doc, err)
				}
				if got := string(d.signed()); got != fmt.Sprintf(nested, want) {
					t.Errorf("%s prints as %s, want %s", doc, got, want)
				}
				d.free()
			}
		}
	}
}

// Keys of a member, and the names of the keys in verify_keys, of which the first signs.
func TestKeyOrder_InSignedCards(t *testing.T) {
	a, b := newAgent("paul"), newAgent("mary")
	for _, p := range keyOrder {
		for _, swap := range []bool{false, true} {
			i, j := 0, 1
			if swap {
				i, j = 1, 0
			}
			members := fmt.Sprintf(`,"m":{"%s":%d,"%s":%d}`, p[i].spelled, i, p[j].spelled, j)
			if !verifies(t, a.card(members, a.plain(fmt.Sprintf(`"m":{"%s":0,"%s":1},`, p[0].printed, p[1].printed)))) {
				t.Errorf("a card with %s is refused", members)
			}
			keys := [2]string{a.public(), b.public()}
			sorted := fmt.Sprintf(`"verify_keys":{"%s":{"key":%q},"%s":{"key":%q}}`, p[0].printed, keys[0], p[1].printed, keys[1])
			spelled := fmt.Sprintf(`"verify_keys":{"%s":{"key":%q},"%s":{"key":%q}}`, p[i].spelled, keys[i], p[j].spelled, keys[j])
			for _, signer := range []agent{a, b} {
				signature := base64.StdEncoding.EncodeToString(ed25519.Sign(signer.key, fmt.Appendf(nil, `{"did":%q,%s}`, signer.did, sorted)))
				if verifies(t, fmt.Sprintf(`{%s,"did":%q,"signature":%q}`, spelled, signer.did, signature)) != (signer.did == a.did) {
					t.Errorf("%s, signed by %s", spelled, signer.did)
				}
			}
		}
	}
}

// Of a repeated key the last counts, in what Verify reads too.
func TestVerify_RepeatedKeys(t *testing.T) {
	a, b := newAgent("paul"), newAgent("mary")
	signature := base64.StdEncoding.EncodeToString(ed25519.Sign(a.key, []byte(a.plain(""))))
	did := fmt.Sprintf(`"did":%q`, a.did)
	sig := fmt.Sprintf(`"signature":%q`, signature)
	keys := fmt.Sprintf(`"verify_keys":{"ed25519:k":{"key":%q}}`, a.public())
	for name, c := range map[string]struct {
		doc string
		ok  bool
	}{
		"did":             {fmt.Sprintf(`{"did":%q,%s,%s,%s}`, b.did, did, sig, keys), true},
		"did, first":      {fmt.Sprintf(`{%s,"did":%q,%s,%s}`, did, b.did, sig, keys), false},
		"did, escaped":    {fmt.Sprintf(`{%s,"\u0064id":%q,%s,%s}`, did, b.did, sig, keys), false},
		"signature":       {fmt.Sprintf(`{"signature":7,%s,%s,%s}`, did, sig, keys), true},
		"signature, last": {fmt.Sprintf(`{%s,%s,%s,"signature":7}`, did, sig, keys), false},
		"verify_keys":     {fmt.Sprintf(`{"verify_keys":[],%s,%s,%s}`, did, sig, keys), true},
		"an entry": {fmt.Sprintf(`{%s,%s,"verify_keys":{"ed25519:k":{"key":%q},"\u0065d25519:k":{"key":%q}}}`,
			did, sig, b.public(), a.public()), true},
		"a key":        {fmt.Sprintf(`{%s,%s,"verify_keys":{"ed25519:k":{"key":%q,"key":%q}}}`, did, sig, b.public(), a.public()), true},
		"a key, first": {fmt.Sprintf(`{%s,%s,"verify_keys":{"ed25519:k":{"key":%q,"key":%q}}}`, did, sig, a.public(), b.public()), false},
	} {
		if verifies(t, c.doc) != c.ok {
			t.Errorf("%s: want %v\n%s", name, c.ok, c.doc)
		}
	}
}
