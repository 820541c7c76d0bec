package natstest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
)

// ProgramEnv names a nats-server to use instead of the one that Program builds.
const ProgramEnv = "COWRELAY_NATS_SERVER"

var program struct {
	sync.Mutex
	path string
}

// Program is the path of nats-server. It is built where it was not, into .cache at the
// top of the tree. The working folder has to be in the tree.
func Program(ctx context.Context) (string, error) {
	program.Lock()
	defer program.Unlock()
	if program.path != "" {
		return program.path, nil
	}
	path := os.Getenv(ProgramEnv)
	if path == "" {
		var err error
		if path, err = build(ctx); err != nil {
			return "", err
		}
	}
	program.path = path
	return path, nil
}

// build builds nats-server if there is none from the same sources and compiler. Two
// programs that do it at the same time both end with a whole one.
func build(ctx context.Context) (string, error) {
	root, err := treeRoot()
	if err != nil {
		return "", err
	}
	module := filepath.Join(root, "bench", "peers")
	sum := sha256.New()
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(module, name))
		if err != nil {
			return "", fmt.Errorf("natstest: %w", err)
		}
		sum.Write(text)
	}
	fmt.Fprint(sum, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	dir := filepath.Join(root, ".cache", "nats")
	path := filepath.Join(dir, "nats-server-"+hex.EncodeToString(sum.Sum(nil)[:8]))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("natstest: %w", err)
	}
	temp, err := os.MkdirTemp(dir, "build-")
	if err != nil {
		return "", fmt.Errorf("natstest: %w", err)
	}
	defer os.RemoveAll(temp)
	out := filepath.Join(temp, "nats-server")
	cmd := exec.CommandContext(ctx, "go", "build", "-C", module, "-trimpath", "-o", out, "github.com/nats-io/nats-server/v2")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-pgo=off", "GOWORK=off")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("natstest: nats-server can't be built: %w\n%s", err, text)
	}
	if err := os.Rename(out, path); err != nil {
		return "", fmt.Errorf("natstest: %w", err)
	}
	return path, nil
}

// treeRoot is the folder of the relay's module, at or above the working folder.
func treeRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && bytes.HasPrefix(text, []byte("module cowrelay\n")) {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("natstest: the working folder is not in the relay's sources, which say how to build nats-server")
		}
		dir = up
	}
}
