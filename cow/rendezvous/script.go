package rendezvous

import "strings"

// inviteScript is a POSIX shell script that accepts an invite. It installs the
// client first if there is none and installer, a URL of printable ASCII, is set.
func inviteScript(invite, installer string) []byte {
	var b strings.Builder
	b.WriteString("#!/bin/sh\nset -eu\nif ! command -v wire >/dev/null 2>&1; then\n")
	if installer == "" {
		b.WriteString("  echo 'The client \"wire\" is not installed. Install it, then run this again.' >&2\n  exit 127\n")
	} else {
		// Downloaded as a whole first: a script that is cut must not run.
		b.WriteString("  installer=$(curl -fsSL -- " + quoteShell(installer) + ")\n")
		b.WriteString("  printf '%s\\n' \"$installer\" | sh\n")
		b.WriteString("  PATH=\"$HOME/.local/bin:$HOME/.cargo/bin:$PATH\"\n")
	}
	b.WriteString("fi\nexec wire accept-invite " + quoteShell(invite) + "\n")
	return []byte(b.String())
}

// quoteShell makes one word of a text. Within single quotes a shell takes
// everything as it is but the single quote.
func quoteShell(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
