package operate

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"cowrelay/cmd/cowrelay/internal/adminclient"

	"github.com/spf13/cobra"
)

// offered is a thing of a running relay that a shell can complete: where its list is, and
// the names in that.
type offered struct {
	path  string // of the list
	first bool   // the first argument alone is one
	names func(json.RawMessage) (name, what string)
}

var (
	offerSlots = offered{path: "/admin/v1/slots?limit=1000", names: func(v json.RawMessage) (string, string) {
		var r slotRow
		json.Unmarshal(v, &r)
		return r.ID, r.state()
	}}
	offerSlot    = offered{offerSlots.path, true, offerSlots.names}
	offerBlocked = offered{offerSlots.path + "&blocked=true", false, offerSlots.names}
	offerNicks   = offered{path: "/admin/v1/handles?limit=1000", names: func(v json.RawMessage) (string, string) {
		var r handleRow
		json.Unmarshal(v, &r)
		return r.Nick, r.state()
	}}
	offerInvites = offered{path: "/admin/v1/invites?limit=1000", names: func(v json.RawMessage) (string, string) {
		var r inviteRow
		json.Unmarshal(v, &r)
		return r.ID, "made " + ago(r.Created)
	}}
)

// completePatience is how long a person at a shell waits for the names.
const completePatience = time.Second

// complete asks the relay for the names. A relay that does not answer, or asks for a
// token that is not there, offers none.
func (o offered) complete(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if o.first && len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	c, err := adminclient.New(cmd.Flags())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), completePatience)
	defer cancel()
	var lists map[string]json.RawMessage
	if err := c.Call(ctx, http.MethodGet, o.path, nil, &lists); err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var fit []string
	for _, text := range lists {
		var list []json.RawMessage
		if json.Unmarshal(text, &list) != nil {
			continue // it is a number beside the list
		}
		for _, v := range list {
			if name, what := o.names(v); name != "" && strings.HasPrefix(name, begun) {
				fit = append(fit, cobra.CompletionWithDesc(name, what))
			}
		}
	}
	return fit, cobra.ShellCompDirectiveNoFileComp
}
