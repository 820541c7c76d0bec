package commands

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// The owner's token lies beside the profile, and gives others tokens with fewer
// rights.
func TestToken_Commands(t *testing.T) {
	r := relaytest.Start(t, t.TempDir())
	u := newUser(t, r)
	dir := func(u *user) string { return strings.TrimPrefix(u.env[2], "COWRELAY_PROFILE_DIR=") }
	out, _ := u.run(0, "", "slot", "new", "--save", "default")
	if strings.Contains(out, "token") {
		t.Errorf("slot new --save prints a token: %s", out)
	}
	type file struct {
		Relay string `json:"relay"`
		Slot  string `json:"slot_id"`
		Token string `json:"slot_token"`
		Owner string `json:"owner_token"`
		ID    string `json:"token_id"`
	}
	read := func(text string) (f file) {
		t.Helper()
		if err := json.Unmarshal([]byte(text), &f); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		return f
	}
	load := func(name string) file {
		t.Helper()
		path := filepath.Join(dir(u), name)
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("%v, %v", info, err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return read(string(text))
	}
	mine, owner := load("default.json"), load("default.owner.json")
	if mine.Token == "" || mine.Owner != "" || owner.Token != "" || owner.Owner == "" || owner.Slot != mine.Slot || owner.Relay != mine.Relay {
		t.Error("the tokens lie in the wrong files")
	}
	// Somebody else gets a token that may only post, as a profile.
	shared, _ := u.run(0, "", "slot", "share", "--note", "for mary")
	mary := newUser(t, r)
	if err := os.Mkdir(dir(mary), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir(mary), "default.json"), []byte(shared), 0o600); err != nil {
		t.Fatal(err)
	}
	hers := read(shared)
	if hers.Token == mine.Token || hers.Token == owner.Owner || hers.ID == "" {
		t.Error("it is no token of its own")
	}
	out, _ = mary.run(0, numbered(1, 3), "post", "-")
	u.equal(out, `{"stored":3,"duplicate":0,"failed":0}`+"\n")
	mary.run(0, "", "post", `{"n":4}`)
	for _, args := range []string{"pull", "tail", "slot state", "slot rm --yes", "token list", "slot share"} {
		_, errs := mary.run(1, "", strings.Fields(args)...)
		relaytest.Contains(t, errs, "has not the right that this needs")
		if strings.Contains(errs, hers.Token) {
			t.Errorf("%s prints a token", args)
		}
	}
	out, _ = u.run(0, "", "pull")
	u.equal(out, numbered(1, 4))

	ticket, _ := u.run(0, "", "token", "new", "--may", "read", "--ttl", "30m")
	both, _ := u.run(0, "", "token", "new", "--may", "post,read")
	relaytest.Contains(t, ticket, `"expires":"20`)
	out, _ = u.run(0, "", "token", "list")
	relaytest.Contains(t, out, hers.ID, read(ticket).ID, read(both).ID, "for mary")
	if strings.Contains(out, hers.Token) || strings.Contains(out, read(both).Token) {
		t.Error("list prints a token")
	}
	u.run(0, "", "token", "revoke", hers.ID, read(both).ID)
	_, errs := mary.run(1, "", "post", `{"n":5}`)
	relaytest.Contains(t, errs, "is not that of slot")
	_, errs = u.run(1, "", "token", "revoke", hers.ID)
	relaytest.Contains(t, errs, "no such token")

	u.run(0, "", "token", "rotate")
	if again := load("default.json"); again.Token == mine.Token || again.Slot != mine.Slot {
		t.Error("the profile has the token from before")
	}
	out, _ = u.run(0, "", "pull", "--last", "1")
	u.equal(out, numbered(4, 4))
	before := &user{t, append(u.env[:3:3], "COWRELAY_SLOT="+mine.Slot, "COWRELAY_TOKEN="+mine.Token)}
	_, errs = before.run(1, "", "pull")
	relaytest.Contains(t, errs, "is not that of slot")

	// The owner's profile is one like others, and both go with the slot.
	out, _ = u.run(0, "", "pull", "--profile", "default.owner", "--last", "1")
	u.equal(out, numbered(4, 4))
	_, errs = u.run(2, "", "slot", "new", "--save", "x.owner")
	relaytest.Contains(t, errs, "choose one that does not end in .owner")
	u.run(0, "", "slot", "rm", "--yes")
	if left, err := os.ReadDir(dir(u)); err != nil || len(left) > 0 {
		t.Errorf("%v are left, %v", left, err)
	}
	// Without a profile.
	made, _ := u.run(0, "", "slot", "new")
	m := read(made)
	for token, code := range map[string]int{m.Token: 1, m.Owner: 0} {
		one := &user{t, append(u.env[:3:3], "COWRELAY_SLOT="+m.Slot, "COWRELAY_TOKEN="+token)}
		one.run(code, "", "slot", "share")
	}
}
