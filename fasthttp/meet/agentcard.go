package meet

import (
	"cowrelay/cow/rendezvous"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A2A agent cards, as agents of that protocol read them.
const (
	a2aVersion   = "wire/0.5"
	a2aExtension = "https://slancha.ai/wire/ext/v0.5"
	a2aProvider  = "https://slancha.ai/wire"
)

type object = map[string]any

// AgentCard says who has a nick, as an A2A card. It returns the body of a 200.
func AgentCard(handles *rendezvous.Directory, handle string) ([]byte, error) {
	h, err := find(handles, handle)
	if err != nil {
		return nil, err
	}
	var signed struct {
		Profile   jsontext.Value `json:"profile"`
		Signature jsontext.Value `json:"signature"`
	}
	// It has been verified, or imported; what is not there stays null.
	json.Unmarshal(h.Card, &signed, jsontext.AllowDuplicateNames(true))
	profile := rendezvous.ProfileOf(h.Card)
	name, ok := rendezvous.Text(profile.DisplayName)
	if !ok || name == "" {
		name = h.Nick
	}
	motto, _ := rendezvous.Text(profile.Motto)
	return encode(object{
		"id": h.DID, "name": name, "description": motto, "version": a2aVersion,
		"endpoint":     h.RelayURL + "/v1/handle/intro/" + h.Nick,
		"provider":     object{"name": "wire", "url": a2aProvider},
		"capabilities": object{"streaming": false, "pushNotifications": false, "extendedAgentCard": true},
		"securitySchemes": object{"ed25519-event-sig": object{
			"type": "signature", "alg": "EdDSA",
			"description": "The body is an event that the sender's Ed25519 key has signed.",
		}},
		"security": []any{object{"ed25519-event-sig": []any{}}},
		"skills":   []any{},
		"extensions": []any{object{
			"uri":         a2aExtension,
			"description": "Where the agent's mail goes, and its signed card.",
			"required":    false,
			"params": object{
				"did": h.DID, "handle": h.Nick, "slot_id": h.Slot.String(), "relay_url": jsontext.Value(orNull(h.RelayURL)),
				"card": jsontext.Value(h.Card), "profile": value(signed.Profile), "claimed_at": h.Claimed(),
			},
		}},
		"signature": value(signed.Signature),
	})
}

// value is a part of a card, null if it is not there.
func value(v jsontext.Value) jsontext.Value {
	if v == nil {
		return jsontext.Value("null")
	}
	return v
}
