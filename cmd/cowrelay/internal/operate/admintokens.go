package operate

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"cowrelay/cmd/cowrelay/internal/human"
	"cowrelay/cmd/cowrelay/internal/term"
	"cowrelay/cow"

	"github.com/spf13/cobra"
)

func newAdminOwner() *cobra.Command {
	cmd := adminCommand("owner ID", "Give a slot a fresh owner's token, and print it", oneSlot, func(s *adminSession, ids []string) error {
		return s.show(http.MethodPost, "/admin/v1/slots/"+ids[0]+"/owner", map[string]string{}, func(s *adminSession, v json.RawMessage) error {
			var made struct {
				Owner string `json:"owner_token"`
			}
			if err := json.Unmarshal(v, &made); err != nil {
				return err
			}
			return s.print(nil, made.Owner)
		})
	})
	cmd.Long = `owner gives a slot a fresh owner's token and prints it, this once. It is for slots
that have none, from before there were such tokens or imported, and for those
whose owner has lost it. The owner's token before is dead at once.`
	return cmd
}

// tokenRow is one further token as the admin API describes it.
type tokenRow struct {
	ID      string   `json:"token_id"`
	May     []string `json:"may"`
	Created int64    `json:"created_unix"`
	Expires *int64   `json:"expires_unix"`
	Note    string   `json:"note"`
}

func newAdminTokens() *cobra.Command {
	cmd := adminCommand("tokens ID", "List the further tokens of a slot, the oldest first", oneSlot, func(s *adminSession, ids []string) error {
		var list struct {
			Tokens []json.RawMessage `json:"tokens"`
		}
		if err := s.Call(s.cmd.Context(), http.MethodGet, "/admin/v1/slots/"+ids[0]+"/tokens", nil, &list); err != nil {
			return err
		}
		return printList(s, list.Tokens, len(list.Tokens), "TOKEN\tMAY\tMADE\tENDS IN\tNOTE", func(r *tokenRow) string {
			ends := "never"
			if r.Expires != nil {
				ends = human.Age(time.Until(time.Unix(*r.Expires, 0)))
			}
			return fmt.Sprintf("%s\t%s\t%s\t%s\t%s", r.ID, strings.Join(r.May, ", "), ago(r.Created), ends, term.Printable(r.Note))
		})
	})
	cmd.Long = `tokens lists the tokens that a slot has beside its own two, without secrets.`
	return cmd
}

func newAdminRevokeToken() *cobra.Command {
	cmd := adminCommand("revoke ID TOKEN_ID...", "Take further tokens of a slot back", func(_ *cobra.Command, args []string) error {
		if len(args) < 2 {
			return errors.New("which token? Give the slot's id and the token's")
		}
		if err := isSlotID(args[0]); err != nil {
			return err
		}
		for _, id := range args[1:] {
			if len(id) != 16 || strings.Trim(id, "0123456789abcdef") != "" {
				return fmt.Errorf("%q is no token's id: 16 lowercase hex digits", id)
			}
		}
		return nil
	}, func(s *adminSession, args []string) error {
		return each(func(s *adminSession, id string) error {
			if err := s.Call(s.cmd.Context(), http.MethodDelete, "/admin/v1/slots/"+args[0]+"/tokens/"+id, nil, nil); err != nil {
				return err
			}
			return s.print(map[string]string{"revoked": id}, "revoked "+id)
		})(s, args[1:])
	})
	cmd.Long = `revoke takes further tokens of a slot back. They are dead at once, and the streams
that they have let in end.`
	return cmd
}

// oneSlot accepts one slot id.
func oneSlot(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return errors.New("which slot? Give its id")
	}
	return isSlotID(args[0])
}

func isSlotID(id string) error {
	if _, ok := cow.ParseID(id); !ok {
		return fmt.Errorf("%q is no slot id: 32 lowercase hex digits", id)
	}
	return nil
}
