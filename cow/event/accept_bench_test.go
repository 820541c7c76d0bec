package event

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// benchBody is a request body of about n bytes: the event of an agent, whose
// message grows with n.
func benchBody(n int) []byte {
	var b strings.Builder
	b.WriteString(`{"event":{"schema_version":"v3.1","kind":1,"type":"decision",` +
		`"from":"did:wire:paul-a1b2c3d4","to":"did:wire:willard-0badf00d",` +
		`"timestamp":"2026-02-11T09:30:12Z","event_id":"` + strings.Repeat("0123456789abcdef", 4) + `",` +
		`"public_key_id":"ed25519:paul:a1b2c3d4","signature":"` + strings.Repeat("QUJD", 21) + `QQ==",` +
		`"body":{"text":"ship it, v0.16 is \u00fcber ready","refs":[17,42,3.25],"ok":true,"more":[`)
	for i := 0; b.Len() < n-80; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"n":%d,"x":%d.5,"s":"line of text número %d with some words","t":[true,null]}`, i, i*37, i)
	}
	b.WriteString("]}}}")
	return []byte(b.String())
}

func BenchmarkAccept(b *testing.B) {
	run := func(name string, body []byte, f func(b *testing.B, body []byte)) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			f(b, body)
		})
	}
	for _, size := range []int{512, 4 << 10, 256 << 10} {
		body := benchBody(size)
		var indented bytes.Buffer
		if err := json.Indent(&indented, body, "", "  "); err != nil {
			b.Fatal(err)
		}
		var dst []byte
		accept := func(b *testing.B, body []byte) {
			for b.Loop() {
				var err error
				if _, dst, err = Accept(dst[:0], body); err != nil {
					b.Fatal(err)
				}
			}
		}
		run(fmt.Sprintf("size=%d", size), body, accept)
		run(fmt.Sprintf("size=%d/indented", size), indented.Bytes(), accept)
		run(fmt.Sprintf("size=%d/twin=json.Valid", size), body, func(b *testing.B, body []byte) {
			for b.Loop() {
				if !json.Valid(body) {
					b.Fatal("not valid")
				}
			}
		})
		run(fmt.Sprintf("size=%d/twin=json.Compact", size), body, func(b *testing.B, body []byte) {
			var buf bytes.Buffer
			for b.Loop() {
				buf.Reset()
				if err := json.Compact(&buf, body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
