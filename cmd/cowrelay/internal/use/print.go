package use

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"cowrelay/cmd/cowrelay/internal/term"

	"github.com/spf13/cobra"
)

// printMembers prints strings by name: lines for people, or an object.
func printMembers(cmd *cobra.Command, members [][2]string) error {
	out := cmd.OutOrStdout()
	if asked, _ := cmd.Flags().GetBool("json"); asked || !term.IsTerminal(out) {
		text := []byte{'{'}
		for i, m := range members {
			if i > 0 {
				text = append(text, ',')
			}
			text = fmt.Appendf(text, `%q:`, m[0])
			value, err := json.Marshal(m[1])
			if err != nil {
				return err
			}
			text = append(text, value...)
		}
		_, err := fmt.Fprintf(out, "%s}\n", text)
		return err
	}
	tw := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, m := range members {
		fmt.Fprintf(tw, "%s\t%s\n", m[0], term.Printable(m[1]))
	}
	return tw.Flush()
}
