package card

import (
	"strings"
	"testing"
)

func TestNickOf(t *testing.T) {
	for did, want := range map[string]string{
		"did:wire:paul-a1b2c3d4":     "paul",
		"did:wire:paul-A1B2C3D4":     "paul",
		"did:wire:paul-smith-a1b2c3": "paul-smith-a1b2c3",
		"did:wire:paul-a1b2c3d4e":    "paul-a1b2c3d4e",
		"did:wire:paul-a1b2c3dg":     "paul-a1b2c3dg",
		"did:wire:a1b2c3d4":          "a1b2c3d4",
		"did:wire:-a1b2c3d4":         "",
		"did:wire:paul":              "paul",
		"paul-a1b2c3d4":              "paul",
		"":                           "",
	} {
		if got := NickOf(did); got != want {
			t.Errorf("nick of %s: %q, want %q", did, got, want)
		}
	}
}

func TestValidNick(t *testing.T) {
	for _, nick := range []string{"paul", "a1", "_-", "0123456789", "paul_smith-2", strings.Repeat("a", 32), "agents", "wire2"} {
		if !ValidNick(nick) {
			t.Errorf("%s is refused", nick)
		}
	}
	for _, nick := range []string{"", "a", strings.Repeat("a", 33), "Paul", "pa ul", "p.", "paul\n", "zoë", "a/b", "..", "you", "wire", "abuse", "null", "none"} {
		if ValidNick(nick) {
			t.Errorf("%q is taken", nick)
		}
	}
	if len(reserved) != 52 {
		t.Errorf("%d reserved nicks", len(reserved))
	}
}

func TestEmoji(t *testing.T) {
	if len(emoji) != 147 {
		t.Fatalf("%d emoji", len(emoji))
	}
	if got := Emoji("did:wire:paul-a1b2c3d4"); got != emoji[58] {
		t.Errorf("got %s, want %s", got, emoji[58])
	}
	if Emoji("did:wire:paul-a1b2c3d4") != Emoji("did:wire:mary-a1b2c3d4") {
		t.Error("the nick counts")
	}
	if Emoji("did:wire:paul") == Emoji("did:wire:mary") {
		t.Error("a DID without a hash counts as a whole")
	}
}
