package token

import "strings"

// Right is a set of rights, one bit each.
type Right uint8

const (
	Post  Right = 1 << iota // post events
	Read                    // pull, stream, and read the slot's state
	Slot                    // set the slot's health, claim a handle for it, make tickets
	Owner                   // make and revoke tokens, and remove the slot

	rights = iota
)

// What the two tokens may do that a slot is made with.
const (
	OfSlot  = Post | Read | Slot
	OfOwner = OfSlot | Owner
)

var names = [rights]string{"post", "read", "slot", "owner"}

// Names are the names of all rights, in the order of their bits.
func Names() []string { return names[:] }

// Has says whether r has all rights of o.
func (r Right) Has(o Right) bool { return r&o == o }

// String returns the names of the rights, with "+" between.
func (r Right) String() string {
	var list []string
	for i, name := range names {
		if r&(1<<i) != 0 {
			list = append(list, name)
		}
	}
	return strings.Join(list, "+")
}

// ParseMay returns the rights that a further token may be given by these words. No
// word, and a word that is not "post" or "read", is not ok.
func ParseMay(words []string) (r Right, ok bool) {
	for _, w := range words {
		switch w {
		case "post":
			r |= Post
		case "read":
			r |= Read
		default:
			return 0, false
		}
	}
	return r, r != 0
}
