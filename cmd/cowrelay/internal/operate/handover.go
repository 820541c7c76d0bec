package operate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"cowrelay/cmd/cowrelay/internal/adminclient"
	"cowrelay/cmd/cowrelay/internal/command"

	"github.com/spf13/cobra"
)

// handoverLook is the time between two questions whether the new program serves.
const handoverLook = 100 * time.Millisecond

// NewHandoverCommand returns the command handover.
func NewHandoverCommand() *cobra.Command {
	var limit time.Duration
	cmd := adminCommand("handover", "Have a running relay replaced by the binary that is now in its place", command.NoArgs, func(s *adminSession, _ []string) error {
		if limit <= 0 {
			return command.WrongValue(s.cmd, "timeout", "a time such as 2m")
		}
		var begun struct {
			Version   string
			Handovers int
		}
		if err := s.Call(s.cmd.Context(), http.MethodPost, "/admin/v1/handover", map[string]string{}, &begun); err != nil {
			return err
		}
		s.Close() // the connection is that of the program that goes
		ctx, cancel := context.WithTimeout(s.cmd.Context(), limit)
		defer cancel()
		return s.awaitHandover(ctx, begun.Handovers, limit)
	})
	cmd.Long = `handover asks a running relay to hand its sockets to the program that now stands
where it was started from, with the same arguments and environment. The relay first
asks that program whether it can start with this configuration. If it can't, the
relay goes on, and the exit status is 1. Else new connections wait, streams end and
come back, and the new program serves in the same process. handover returns when it
does. It uses the relay's --admin listener. SIGUSR2 does the same without it.`
	cmd.Example = `  install -m 0755 new/cowrelay /usr/local/bin/cowrelay && cowrelay handover`
	cmd.GroupID = command.GroupOperate
	f := cmd.Flags()
	f.SortFlags = false
	adminclient.AddFlags(f)
	f.Bool("json", false, "print JSON lines also on a terminal")
	f.DurationVar(&limit, "timeout", 2*time.Minute, "longest time to wait for the new program")
	command.NoFiles(cmd, "admin", "timeout")
	return cmd
}

// awaitHandover returns when another program serves than before so many hand-overs.
func (s *adminSession) awaitHandover(ctx context.Context, before int, limit time.Duration) error {
	for {
		var raw json.RawMessage
		var now struct {
			Version   string
			Ready     bool
			Handovers int
			Failed    string `json:"handover_failed"`
		}
		err := s.Call(ctx, http.MethodGet, "/admin/v1/status", nil, &raw)
		if err == nil {
			err = json.Unmarshal(raw, &now)
		}
		switch {
		case err == nil && now.Handovers > before && now.Failed != "":
			return errors.New("the new program could not serve, and the one before serves again: " + now.Failed)
		case err == nil && now.Handovers > before && now.Ready:
			return s.print(struct {
				Version   string `json:"version"`
				Handovers int    `json:"handovers"`
			}{now.Version, now.Handovers}, "version "+now.Version+" serves")
		}
		select {
		case <-ctx.Done():
			if s.cmd.Context().Err() != nil {
				return s.cmd.Context().Err()
			}
			return errors.Join(fmt.Errorf("the new program does not serve after %v: look at the relay's log", limit), err)
		case <-time.After(handoverLook):
		}
	}
}
