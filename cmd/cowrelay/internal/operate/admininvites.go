package operate

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"cowrelay/cmd/cowrelay/internal/command"
	"cowrelay/cmd/cowrelay/internal/human"

	"github.com/spf13/cobra"
)

func newAdminInvites() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "invites",
		Short: "List and revoke invites",
		Args:  command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return command.Usage(errors.New("which command?\n\n" + cmd.UsageString()))
		},
	}
	cmd.AddCommand(newAdminInvitesList(), offering(offerInvites, newAdminRevoke()))
	return cmd
}

// inviteRow is one invite as the admin API describes it.
type inviteRow struct {
	ID      string  `json:"id"`
	Created int64   `json:"created_unix"`
	Expires int64   `json:"expires_unix"`
	Uses    *int64  `json:"uses_remaining"`
	Address *string `json:"address"`
}

func newAdminInvitesList() *cobra.Command {
	var address string
	var limit int
	cmd := adminCommand("list", "List live invites, those that end first", command.NoArgs, func(s *adminSession, _ []string) error {
		q, err := listQuery(s, limit, address)
		if err != nil {
			return err
		}
		var list struct {
			Matching int               `json:"matching"`
			Invites  []json.RawMessage `json:"invites"`
		}
		if err := s.Call(s.cmd.Context(), http.MethodGet, "/admin/v1/invites?"+q.Encode(), nil, &list); err != nil {
			return err
		}
		return printList(s, list.Invites, list.Matching, "INVITE\tMADE\tENDS IN\tUSES LEFT\tFROM", func(r *inviteRow) string {
			uses := "no limit"
			if r.Uses != nil {
				uses = strconv.FormatInt(*r.Uses, 10)
			}
			return fmt.Sprintf("%s\t%s\t%s\t%s\t%s", r.ID, ago(r.Created), human.Age(time.Until(time.Unix(r.Expires, 0))), uses, from(r.Address))
		})
	})
	cmd.Long = `list shows live invites, without their tokens and URLs. The ids are for revoke;
they are others after a restart of the relay.`
	addListFlags(cmd, &limit, &address)
	return cmd
}

// An invite is named by its id from the list, or by its token.
var inviteName = regexp.MustCompile(`^(?:[0-9a-f]{6}|[0-9a-f]{16}|[0-9a-f]{32})$`)

func newAdminRevoke() *cobra.Command {
	cmd := adminCommand("revoke ID...", "Let invites be used no more", func(cmd *cobra.Command, args []string) error {
		if err := cobra.MinimumNArgs(1)(cmd, args); err != nil {
			return errors.New("which invite? Give its id from the list, or its token")
		}
		for _, name := range args {
			if !inviteName.MatchString(name) {
				return errors.New("an id is 32 lowercase hex digits, a token 16 or 6: one of these is neither")
			}
		}
		return nil
	}, each(func(s *adminSession, name string) error {
		member := "id"
		if len(name) < 32 {
			member = "token"
		}
		return s.act(http.MethodPost, "/admin/v1/invites/revoke", map[string]string{member: name}, "revoked")
	}))
	cmd.Long = `revoke ends invites at once: whoever fetches one hears that it is used up. An
invite is named by its id from the list, or by the token behind /i/ in its URL.`
	return cmd
}
