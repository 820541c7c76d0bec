package handover

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

const (
	tryValue = "try"
	tryTime  = 15 * time.Second // that a binary has to say whether it could serve
	tryBytes = 4 << 10          // of what it says
)

// answer is what a binary on trial prints.
type answer struct {
	Ready   bool   `json:"ready_to_take_over"`
	Version string `json:"version"`
}

// Trying says whether this program is only asked whether it could serve.
func Trying() bool { return os.Getenv(variable) == tryValue }

// Yes is the answer of a program that could serve.
func Yes(w io.Writer, version string) error {
	return json.NewEncoder(w).Encode(answer{true, version})
}

// Try asks a program whether it could serve with its arguments and this environment, and
// returns its version. The program reads its configuration and touches nothing.
func Try(ctx context.Context, p Program) (version string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, tryTime, fmt.Errorf("it has not answered within %v", tryTime))
	defer cancel()
	cmd := exec.CommandContext(ctx, p.Path, p.Args[1:]...)
	cmd.Args[0] = p.Args[0]
	for _, v := range environ() {
		if name, _, _ := strings.Cut(v, "="); name != "NOTIFY_SOCKET" && name != "WATCHDOG_USEC" && name != "WATCHDOG_PID" {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, variable+"="+tryValue)
	var out, errs head
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = time.Second // for what it may have started
	err = cmd.Run()
	if cause := context.Cause(ctx); cause != nil {
		return "", cause
	}
	if err != nil {
		if text := strings.TrimSpace(errs.String()); text != "" {
			err = fmt.Errorf("%w: %s", err, text)
		}
		return "", err
	}
	var a answer
	if json.Unmarshal(out.Bytes(), &a) != nil || !a.Ready {
		return "", errors.New("it is no relay that can take over")
	}
	return a.Version, nil
}

// head keeps the beginning of what is written to it.
type head struct{ bytes.Buffer }

// Write implements io.Writer.
func (h *head) Write(p []byte) (int, error) {
	h.Buffer.Write(p[:min(len(p), tryBytes-h.Len())])
	return len(p), nil
}
