package relaytest

import (
	"bufio"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// State is the state folder of another relay, as an import takes it over.
type State struct {
	Dir   string
	Slots []Slot
	t     testing.TB
}

// NewState makes a folder with slots, and events of a size in each.
func NewState(t testing.TB, slots, events, size int) *State {
	t.Helper()
	s := &State{Dir: t.TempDir(), t: t}
	tokens := make(map[string]string, slots)
	f := &Filled{size: size}
	for n := range slots {
		sum := sha256.Sum256(fmt.Append(nil, "slot", n))
		slot := Slot{ID: hex.EncodeToString(sum[:16]), Token: hex.EncodeToString(sum[:])}
		s.Slots = append(s.Slots, slot)
		tokens[slot.ID] = slot.Token
		s.Write("slots/"+slot.ID+".jsonl", func(w *bufio.Writer) {
			for pos := range events {
				w.Write(f.Event(n, pos))
				w.WriteByte('\n')
			}
		})
	}
	s.JSON("tokens.json", tokens)
	return s
}

// Write writes a file of the folder.
func (s *State) Write(name string, write func(*bufio.Writer)) {
	s.t.Helper()
	path := filepath.Join(s.Dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		s.t.Fatal(err)
	}
	file, err := os.Create(path)
	if err != nil {
		s.t.Fatal(err)
	}
	w := bufio.NewWriter(file)
	write(w)
	if err := w.Flush(); err != nil {
		s.t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		s.t.Fatal(err)
	}
}

// Text writes a file.
func (s *State) Text(name, text string) {
	s.t.Helper()
	s.Write(name, func(w *bufio.Writer) { w.WriteString(text) })
}

// JSON writes a file of several lines, with sorted keys.
func (s *State) JSON(name string, v any) {
	s.t.Helper()
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		s.t.Fatal(err)
	}
	s.Text(name, string(text))
}

// Handle writes a claimed nick with a card that verifies, and returns its DID.
func (s *State) Handle(nick, slot string, at time.Time, more map[string]any) (did string) {
	s.t.Helper()
	seed := sha256.Sum256([]byte(nick))
	key := ed25519.NewKeyFromSeed(seed[:])
	public := key.Public().(ed25519.PublicKey)
	sum := sha256.Sum256(public)
	did = "did:wire:" + nick + "-" + hex.EncodeToString(sum[:4])
	card := map[string]any{
		"did": did, "handle": nick, "profile": map[string]any{"motto": "of " + nick},
		"verify_keys": map[string]any{"ed25519:" + nick: map[string]any{"key": base64.StdEncoding.EncodeToString(public)}},
	}
	text, err := json.Marshal(card)
	if err != nil {
		s.t.Fatal(err)
	}
	card["signature"] = base64.StdEncoding.EncodeToString(ed25519.Sign(key, text))
	record := map[string]any{
		"nick": nick, "did": did, "card": card, "slot_id": slot, "relay_url": nil, "claimed_at": at.UTC().Format(time.RFC3339),
	}
	for name, v := range more {
		record[name] = v
	}
	s.JSON("handles/"+nick+".json", record)
	return did
}
