package event

import "strconv"

// Ephemeral says whether an accepted event is of a kind that is for the moment, not for
// keeping: its top level has the number kind, written as a whole number, that is 100 (a
// heartbeat of wire agents) or one of 20000 to 29999 (ephemeral kinds of Nostr, NIP-01).
func Ephemeral(json []byte) bool {
	for name, value := range Members(json) {
		if string(name) == "kind" {
			n, err := strconv.ParseUint(string(value), 10, 32)
			return err == nil && (n == 100 || n >= 20000 && n < 30000)
		}
	}
	return false
}
