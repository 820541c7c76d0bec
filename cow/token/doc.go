// Package token says what the holder of a slot's token may do, and how the tokens
// that a slot has got over time are kept.
//
// A slot is made with two tokens: the slot token, which goes to everybody who may
// write to the slot, and the owner's. Their hashes are a part of the slot itself.
// All that comes later is here: a new slot token, a new owner, and further tokens
// with fewer rights. Each is one record of the journal, which holds the hash of a
// token and never the token.
//
//	Record   what is written: Encode, Decode, Key, ParseKey
//	Token    a record in memory
//	Set      the tokens of one slot in memory: immutable, found by hash
//	Books    those of all slots: places, bounds, and whose time is over
//
// The package knows no slot and no journal. Whoever joins it with them decides by
// compare-and-set on the records.
package token
