package check

import (
	"maps"
	"slices"

	"github.com/anishathalye/porcupine"

	"cowrelay/bench/fleet/call"
)

// byKey gathers calls by nick, invite or token.
func byKey(calls []*call.Call) map[string][]*call.Call {
	m := map[string][]*call.Call{}
	for _, c := range calls {
		m[c.Key] = append(m[c.Key], c)
	}
	return m
}

// operations makes a history of calls. What is unknown may happen up to the end.
func operations(calls []*call.Call, last int64) []porcupine.Operation {
	var ops []porcupine.Operation
	for _, c := range calls {
		op := porcupine.Operation{ClientId: len(ops), Input: c, Call: int64(c.Begin), Return: int64(c.End)}
		if c.Outcome() == call.Unknown {
			op.Return = last
		}
		ops = append(ops, op)
	}
	return ops
}

// checkClaims looks for a linear order of the claims of each nick. The state is the
// DID that holds it.
func checkClaims(w *World, r *Report) {
	model := porcupine.Model{
		Init: func() any { return "" },
		Step: func(state, input, _ any) (bool, any) { return claimStep(state.(string), input.(*call.Call)) },
	}
	var calls []*call.Call
	for _, c := range of(w.Calls, call.Claim, call.Unclaim, call.Lookup) {
		// A lookup that finds something may be old. One that finds nothing may not. One
		// without an answer says nothing.
		if c.Op != call.Lookup || c.Status == 404 {
			calls = append(calls, c)
		}
	}
	all := byKey(calls)
	for _, nick := range slices.Sorted(maps.Keys(all)) {
		r.linear(w, model, operations(all[nick], int64(forever)), "claims of "+nick)
	}
}

// claimStep says whether a call may be answered so when holder has the nick, and
// who has it then.
func claimStep(holder string, c *call.Call) (bool, string) {
	unknown := c.Outcome() == call.Unknown
	switch c.Op {
	case call.Claim:
		switch {
		case unknown && holder == "":
			return true, c.DID
		case unknown:
			return true, holder
		case c.Status == 201 && c.Again:
			return holder == c.DID, holder
		case c.Status == 201:
			return holder == "", c.DID
		case c.Status == 409:
			return holder != "" && holder != c.DID && (c.Holder == "" || c.Holder == holder), holder
		}
	case call.Unclaim:
		mine := holder == c.DID
		switch {
		case unknown && mine:
			return true, ""
		case unknown:
			return true, holder
		case c.Status == 200:
			return mine, ""
		case c.Status == 404:
			return holder == "", ""
		case c.Status == 403:
			return holder != "" && !mine, holder
		}
	case call.Lookup:
		return holder == "", holder
	}
	return false, holder
}

// checkUses looks for a linear order of the uses of each invite. The state is how
// many are left; the begin of its key says how many there were.
func checkUses(w *World, r *Report) {
	all := byKey(of(w.Calls, call.Use))
	for _, token := range slices.Sorted(maps.Keys(all)) {
		model := porcupine.Model{
			Init: func() any { return all[token][0].Stored },
			Step: func(state, input, _ any) (bool, any) { return useStep(state.(int), input.(*call.Call)) },
		}
		r.linear(w, model, operations(all[token], int64(forever)), "uses of an invite")
	}
}

func useStep(left int, c *call.Call) (bool, int) {
	switch {
	case c.Outcome() == call.Unknown:
		return true, max(0, left-1)
	case c.Status == 200:
		return left > 0, left - 1
	case c.Status == 410:
		return left == 0, 0
	}
	return false, left // 404: it was registered
}
