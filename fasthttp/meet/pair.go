package meet

import (
	"errors"
	"net/http"
	"strconv"

	"cowrelay/cow/rendezvous"
	"cowrelay/fasthttp/refusal"

	"github.com/go-json-experiment/json"
)

// NoPair is the reply where there is no such pair.
var NoPair = &refusal.Reply{Status: http.StatusNotFound, Text: "no such pair"}

var (
	roleTaken  = &refusal.Reply{Status: http.StatusConflict, Text: "that role has come already"}
	badRole    = &refusal.Reply{Status: http.StatusBadRequest, Text: "a role is host or guest"}
	noCode     = &refusal.Reply{Status: http.StatusBadRequest, Text: "code_hash must not be empty"}
	pairShape  = &refusal.Reply{Status: http.StatusUnprocessableEntity, Text: "code_hash, msg and role must be strings"}
	sealShape  = &refusal.Reply{Status: http.StatusUnprocessableEntity, Text: "role and sealed must be strings"}
	codeShape  = &refusal.Reply{Status: http.StatusUnprocessableEntity, Text: "code_hash must be a string"}
	longField  = &refusal.Reply{Status: http.StatusRequestEntityTooLarge, Text: "a field is longer than " + strconv.Itoa(rendezvous.MaxPairField) + " bytes"}
	manyPairs  = &refusal.Reply{Status: http.StatusServiceUnavailable, Text: "the relay has as many open pairs as it may", RetryAfter: 60, Why: refusal.Pairs}
	sharePairs = &refusal.Reply{Status: http.StatusServiceUnavailable, Text: "the relay has as many open pairs from your address as it may", RetryAfter: 60, Why: refusal.PairShares}
)

// ofPair is what a client hears of an error of Pairs.
func ofPair(err error) error {
	switch {
	case errors.Is(err, rendezvous.ErrNoPair):
		return NoPair
	case errors.Is(err, rendezvous.ErrRoleTaken):
		return roleTaken
	case errors.Is(err, rendezvous.ErrTooMany):
		return manyPairs
	case errors.Is(err, rendezvous.ErrShare):
		return sharePairs
	}
	return err
}

// OpenPair leaves the first message of one side. It returns the body of a 201.
func OpenPair(pairs *rendezvous.Pairs, from rendezvous.Source, body []byte) ([]byte, error) {
	var in *struct {
		Code    *string `json:"code_hash"`
		Message *string `json:"msg"`
		Role    *string `json:"role"`
	}
	if err := refusal.Decode(body, &in); err != nil {
		return nil, err
	}
	if in == nil || in.Code == nil || in.Message == nil || in.Role == nil {
		return nil, pairShape
	}
	role, ok := rendezvous.ParseRole(*in.Role)
	switch {
	case !ok:
		return nil, badRole
	case *in.Code == "":
		return nil, noCode
	case len(*in.Code) > rendezvous.MaxPairField || len(*in.Message) > rendezvous.MaxPairField:
		return nil, longField
	}
	id, err := pairs.Open(from, *in.Code, *in.Message, role)
	if err != nil {
		return nil, ofPair(err)
	}
	return []byte(`{"pair_id":"` + id + `"}`), nil
}

// LookAtPair returns what the other side has left. It is the body of a 200.
func LookAtPair(pairs *rendezvous.Pairs, id, asRole string) ([]byte, error) {
	role, ok := rendezvous.ParseRole(asRole)
	if !ok {
		if !pairs.Has(id) {
			return nil, NoPair
		}
		return nil, badRole
	}
	message, bootstrap, err := pairs.Look(id, role)
	if err != nil {
		return nil, ofPair(err)
	}
	return json.Marshal(struct {
		Message   *string `json:"peer_msg"`
		Bootstrap *string `json:"peer_bootstrap"`
	}{message, bootstrap})
}

// LeaveBootstrap leaves the sealed bootstrap of one side. It returns the body of a
// 201.
func LeaveBootstrap(pairs *rendezvous.Pairs, from rendezvous.Source, id string, body []byte) ([]byte, error) {
	var in *struct {
		Role   *string `json:"role"`
		Sealed *string `json:"sealed"`
	}
	if err := refusal.Decode(body, &in); err != nil {
		return nil, err
	}
	if in == nil || in.Role == nil || in.Sealed == nil {
		return nil, sealShape
	}
	if !pairs.Has(id) {
		return nil, NoPair
	}
	role, ok := rendezvous.ParseRole(*in.Role)
	switch {
	case !ok:
		return nil, badRole
	case len(*in.Sealed) > rendezvous.MaxPairField:
		return nil, longField
	}
	if err := pairs.Bootstrap(from, id, *in.Sealed, role); err != nil {
		return nil, ofPair(err)
	}
	return []byte(`{"ok":true}`), nil
}

// AbandonPair drops the pair of a code. Where there is none it returns a reply that
// says so, which the client does not get: another relay may have just opened it.
func AbandonPair(pairs *rendezvous.Pairs, body []byte) error {
	var in *struct {
		Code *string `json:"code_hash"`
	}
	if err := refusal.Decode(body, &in); err != nil {
		return err
	}
	if in == nil || in.Code == nil {
		return codeShape
	}
	there, err := pairs.Abandon(*in.Code)
	if err == nil && !there {
		return NoPair
	}
	return err
}
