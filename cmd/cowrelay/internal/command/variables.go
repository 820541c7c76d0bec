package command

import (
	"fmt"
	"slices"
	"strings"
)

// prefix begins the names of all variables that commands read.
const prefix = "COWRELAY_"

// The variables that are not settings of serve. Each setting has one more.
const (
	ConfigVariable       = prefix + "CONFIG"
	AdminTokenVariable   = prefix + "ADMIN_TOKEN"
	AdminFileVariable    = prefix + "ADMIN_TOKEN_FILE"
	AdminURLVariable     = prefix + "ADMIN_URL"
	RelayVariable        = prefix + "RELAY"
	SlotVariable         = prefix + "SLOT"
	TokenVariable        = prefix + "TOKEN"
	TokenFileVariable    = prefix + "TOKEN_FILE"
	ProfileVariable      = prefix + "PROFILE"
	ProfileDirVariable   = prefix + "PROFILE_DIR"
	kubernetesService    = prefix + "SERVICE_" // Kubernetes sets these for a service that
	kubernetesPort       = prefix + "PORT_"    // is called cowrelay
	kubernetesPortItself = prefix + "PORT"
)

var clientVariables = []string{
	ConfigVariable, AdminTokenVariable, AdminFileVariable, AdminURLVariable, RelayVariable, SlotVariable, TokenVariable, TokenFileVariable,
	ProfileVariable, ProfileDirVariable,
}

// UnknownVariables looks for variables of the environment that begin as ours do and that
// no command reads. settings are the variables of settings. wrong has an error for each
// that is nearly one of ours: it is mistyped. others are the names of the rest: somebody
// else may have set them for their own ends.
func UnknownVariables(environ, settings []string) (wrong []error, others []string) {
	known := make([]string, 0, len(settings)+len(clientVariables))
	for _, name := range slices.Concat(settings, clientVariables) {
		known = append(known, strings.TrimPrefix(name, prefix))
	}
	for _, v := range environ {
		full, _, _ := strings.Cut(v, "=")
		name, ours := strings.CutPrefix(full, prefix)
		switch {
		case !ours || slices.Contains(known, name):
		case full == kubernetesPortItself || strings.HasPrefix(full, kubernetesPort) || strings.HasPrefix(full, kubernetesService):
		case name == "" || Nearest(name, known) == "":
			others = append(others, full)
		default:
			wrong = append(wrong, fmt.Errorf("unknown variable %s%s", full, DidYouMean(name, known, prefix)))
		}
	}
	return wrong, others
}
