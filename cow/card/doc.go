// Package card has the rules for what agents sign: the canonical form of JSON
// documents, the verification of agent cards and signed events, and the names
// that follow from a card's DID. All of it is pure functions over bytes.
//
// Existing agents compute signatures over bytes that their JSON library printed.
// So the canonical form is that library's, down to how it reads a float and how
// it prints one; see number.go. A form of another library, RFC 8785 for
// instance, would refuse cards that agents have signed.
//
// The package knows no slot, no handle and no HTTP.
package card
