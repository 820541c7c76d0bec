package proc

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// children returns the living processes that pid's threads started. A server
// may be a master with workers.
func children(pid int) ([]int, error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return nil, err
	}
	var out []int
	for _, name := range tasks {
		b, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the thread is gone
		}
		if err != nil {
			return nil, err
		}
		for _, f := range bytes.Fields(b) {
			child, err := strconv.Atoi(string(f))
			if err != nil {
				return nil, fmt.Errorf("cannot parse %s: %w", name, err)
			}
			out = append(out, child)
		}
	}
	return out, nil
}

// overFamily adds up what `of` returns for pid and for its children.
func overFamily[T ~int64](pid int, of func(pid int) (T, error)) (T, error) {
	sum, err := of(pid)
	if err != nil {
		return 0, err
	}
	pids, err := children(pid)
	if err != nil {
		return 0, err
	}
	for _, p := range pids {
		v, err := of(p)
		if err != nil {
			return 0, err
		}
		sum += v
	}
	return sum, nil
}
