package event

import "bytes"

// nameSet finds repeated names. It compares them while they are few, and hashes them
// when they are many, so that a sender can't make the search quadratic.
type nameSet struct {
	few  [24][]byte
	n    int
	many map[string]struct{}
}

// add reports whether name is new.
func (s *nameSet) add(name []byte) bool {
	if s.many == nil && s.n < len(s.few) {
		for _, have := range s.few[:s.n] {
			if bytes.Equal(have, name) {
				return false
			}
		}
		s.few[s.n] = name
		s.n++
		return true
	}
	if s.many == nil {
		s.many = make(map[string]struct{}, 4*len(s.few))
		for _, have := range s.few {
			s.many[string(have)] = struct{}{}
		}
	}
	before := len(s.many)
	s.many[string(name)] = struct{}{}
	return len(s.many) > before
}
