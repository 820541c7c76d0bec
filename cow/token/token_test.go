package token

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
)

func TestRight(t *testing.T) {
	for r, want := range map[Right]string{0: "", Post: "post", Read: "read", Post | Read: "post+read", OfSlot: "post+read+slot", OfOwner: "post+read+slot+owner"} {
		if r.String() != want {
			t.Errorf("%08b is %q, want %q", r, r, want)
		}
	}
	if !OfOwner.Has(OfSlot) || OfSlot.Has(Owner) || Post.Has(Read) || Read.Has(Post) || OfSlot.Has(OfOwner) {
		t.Error("Has is wrong")
	}
	for words, want := range map[string]Right{"post": Post, "read": Read, "post read": Post | Read, "read read": Read, "": 0, "slot": 0, "owner": 0, "post owner": 0, "Post": 0} {
		if r, ok := ParseMay(strings.Fields(words)); r != want || ok != (want != 0) {
			t.Errorf("%q gives %v, %v", words, r, ok)
		}
	}
}

func TestRecord_Ticket(t *testing.T) {
	for _, row := range []struct {
		r    Record
		want bool
	}{
		{Record{May: Read, Created: 1000, Expires: 1000 + 3600}, true},
		{Record{May: Read, Created: 1000, Expires: 1000 + 3601}, false},
		{Record{May: Read, Created: 1000}, false},
		{Record{May: Post, Created: 1000, Expires: 1010}, false},
		{Record{May: Post | Read, Created: 1000, Expires: 1010}, false},
		{Record{May: OfSlot, Created: 1000, Expires: 1010}, false},
	} {
		if row.r.Ticket() != row.want {
			t.Errorf("%+v is a ticket: %v", row.r, !row.want)
		}
	}
}

func TestKey(t *testing.T) {
	slot := SlotID{0xab, 15: 1}
	for p := range Place(Places) {
		key := Key(slot, p)
		if s, q, ok := ParseKey(key); !ok || s != slot || q != p {
			t.Fatalf("%s is read as %x, %v, %v", key, s, q, ok)
		}
	}
	good := Key(slot, 7)
	for _, key := range []string{"", Prefix, good[1:], good + "0", strings.Replace(good, "/0007", "/7", 1), strings.Replace(good, "/0007", "/1100", 1), strings.Replace(good, "ab", "AB", 1), strings.Replace(good, "/0007", "/+007", 1), strings.Replace(good, "/0007", "", 1)} {
		if _, _, ok := ParseKey(key); ok {
			t.Errorf("%q is taken for a key", key)
		}
	}
}

// FuzzDecode: whatever the value, it is refused, or it is read as something that is
// written and read as the same again.
func FuzzDecode(f *testing.F) {
	full := Record{ID: NewID(), Hash: sha256.Sum256(nil), May: Post, By: 3, Created: 5, Expires: 9, Note: "é\n\""}
	f.Add(full.Encode())
	f.Add([]byte(`{"id":"0123456789abcdef","sha256":"","may":1}`))
	f.Add([]byte(`{"id":"0123456789ABCDEF","sha256":"` + strings.Repeat("0", 64) + `","may":16,"created_unix":-1}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, value []byte) {
		r, err := Decode(value)
		if err != nil {
			if r != (Record{}) {
				t.Errorf("an error with %+v", r)
			}
			return
		}
		if r.May == 0 || !ValidNote(r.Note) || r.Created < 0 || r.Expires < 0 {
			t.Errorf("read as %+v", r)
		}
		if again, err := Decode(r.Encode()); err != nil || again != r {
			t.Errorf("%+v is written and read as %+v, %v", r, again, err)
		}
	})
}

func TestSet_FindsEach(t *testing.T) {
	var s *Set
	var all []*Token
	none := sha256.Sum256([]byte("none"))
	for n := range 70 {
		for i, tk := range all {
			if got := s.Find(&tk.Hash); got != tk {
				t.Fatalf("of %d tokens, token %d is found as %v", n, i, got)
			}
		}
		if s.Find(&none) != nil || len(s.More()) != n {
			t.Fatalf("of %d tokens: %d, or one that is not there", n, len(s.More()))
		}
		tk := &Token{Record: Record{Hash: sha256.Sum256([]byte{byte(n)})}, Place: Place(n)}
		if n%7 == 3 { // the same prefix as the one before
			copy(tk.Hash[:8], all[n-1].Hash[:8])
		}
		all = append(all, tk)
		s = s.with(tk.Place, tk)
	}
	for _, tk := range all {
		s = s.with(tk.Place, nil)
		if s.Find(&tk.Hash) != nil {
			t.Fatal("a token is found that was taken out")
		}
	}
	if s != nil {
		t.Error("an empty set is not nil")
	}
}

// books returns books, and a function that puts a record.
func books(most int64) (b *Books, put func(Spot, *atomic.Pointer[Set], Record, uint64) bool, charged *int64) {
	charged = new(int64)
	b = NewBooks(most, func(n int64) { *charged += n })
	b.Loaded()
	return b, func(s Spot, set *atomic.Pointer[Set], r Record, version uint64) bool {
		died, err := b.Note(s, set, r.Encode(), version, false)
		if err != nil {
			panic(err)
		}
		return died
	}, charged
}

func TestBooks_Places(t *testing.T) {
	b, put, charged := books(1 << 30)
	var set atomic.Pointer[Set]
	slot := SlotID{1}
	seen := map[Place]bool{}
	for i := range MostTokens {
		s, version, err := b.Reserve(slot, &set, false, 0, 100)
		if err != nil || version != 0 || seen[s.Place] || s.Place >= MostTokens {
			t.Fatalf("token %d: %v, %d, %v", i, s, version, err)
		}
		seen[s.Place] = true
		if i%2 == 0 {
			put(s, &set, Record{ID: NewID(), Hash: sha256.Sum256(fmt.Append(nil, i)), May: Read, Expires: 150}, uint64(i+1))
			b.Release(s)
		}
	}
	if _, _, err := b.Reserve(slot, &set, false, 0, 100); !errors.Is(err, ErrMany) {
		t.Errorf("one more: %v", err)
	}
	if _, _, err := b.Reserve(slot, &set, true, 0, 100); err != nil {
		t.Errorf("a ticket beside them: %v", err)
	}
	if _, _, err := b.Reserve(SlotID{2}, new(atomic.Pointer[Set]), false, 0, 100); err != nil {
		t.Errorf("another slot: %v", err)
	}
	// A token that is over leaves its place, at its version.
	if s, version, err := b.Reserve(slot, &set, false, 0, 150); err != nil || version == 0 || set.Load().At(s.Place).Version != version {
		t.Errorf("over one that is over: %v, %d, %v", s, version, err)
	}
	if n, bytes := b.Len(); n != MostTokens/2 || bytes != *charged || bytes == 0 {
		t.Errorf("%d tokens of %d bytes, %d charged", n, bytes, *charged)
	}
	if list := b.Over(149, 1000); len(list) != 0 {
		t.Errorf("%d tokens are over too early", len(list))
	}
	if list := b.Over(150, 300); len(list) != 300 || !list[0].Dead() {
		t.Errorf("%d tokens are over", len(list))
	}
	b.Bury(&set)
	if n, bytes := b.Len(); n != 0 || bytes != 0 || *charged != 0 || set.Load() != nil || len(b.by) != 0 {
		t.Errorf("behind the burial: %d tokens of %d bytes, %d charged", n, bytes, *charged)
	}
	if list := b.Over(1000, 1000); len(list) != 0 {
		t.Error("a buried token is over")
	}
	if left := b.TakeLeaving(10_000); len(left) != 300+MostTokens/2 {
		t.Errorf("%d records are to be dropped", len(left))
	}
}

func TestBooks_Bounds(t *testing.T) {
	each := (&Token{}).size() + MaxNote
	b, put, _ := books(8 * each)
	var set atomic.Pointer[Set]
	add := func(by uint64) error {
		s, _, err := b.Reserve(SlotID{1}, &set, false, by, 100)
		if err == nil {
			put(s, &set, Record{ID: NewID(), May: Post, By: by, Note: strings.Repeat("n", MaxNote)}, 1)
		}
		return err
	}
	for i := range 2 {
		if err := add(7); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
	}
	if err := add(7); !errors.Is(err, ErrShare) {
		t.Errorf("beyond the share: %v", err)
	}
	for i := range 6 {
		if err := add(uint64(10 + i)); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
	}
	if err := add(0); !errors.Is(err, ErrFull) {
		t.Errorf("beyond the bound: %v", err)
	}
	// A slot token and an owner are never refused: they don't count for the bound.
	if !put(Spot{SlotID{1}, SlotPlace}, &set, Record{May: OfSlot}, 2) || set.Load().OfSlot() == nil {
		t.Error("the rotation did not replace the slot token")
	}
}

func TestBooks_Note(t *testing.T) {
	b, put, _ := books(1 << 30)
	var set atomic.Pointer[Set]
	spot := Spot{SlotID{1}, 4}
	r := Record{ID: NewID(), Hash: sha256.Sum256([]byte("a")), May: Post}
	if put(spot, &set, r, 5) {
		t.Error("a new token had another one die")
	}
	first := set.Load().At(4)
	put(spot, &set, Record{ID: NewID(), May: Read}, 4) // older
	if set.Load().At(4) != first {
		t.Error("an older record replaced a newer one")
	}
	if died, err := b.Note(spot, &set, nil, 0, false); !died || err != nil || set.Load() != nil || !first.Dead() {
		t.Errorf("deleted: %v, %v", died, err)
	}
	// A slot token that can't be read is nobody's, and the first one stays replaced.
	if _, err := b.Note(Spot{SlotID{1}, SlotPlace}, &set, []byte("x"), 9, false); err == nil || set.Load().OfSlot() == nil {
		t.Error("a record that can't be read was passed over")
	}
}

// A record that is deleted while the list is read does not come back by the list.
func TestBooks_DeletedWhileRead(t *testing.T) {
	b := NewBooks(1<<30, nil)
	var set atomic.Pointer[Set]
	spot, value := Spot{SlotID{1}, 4}, (&Record{ID: NewID(), May: Post}).Encode()
	b.Note(spot, &set, nil, 0, false)
	b.Note(spot, &set, value, 3, true)
	if set.Load() != nil {
		t.Error("a deleted token is back")
	}
	b.Loaded()
	b.Note(spot, &set, value, 4, false)
	if set.Load() == nil {
		t.Error("a new token is not there")
	}
}
