package retention

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"cowrelay/bench/attack/books"
	"cowrelay/bench/load"
)

// sample reads the disk and the relay's counts. data is the relay's data folder.
func sample(ctx context.Context, s *load.Server, data string) (*Sample, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	m, err := books.Metrics(ctx, s.Admin, "")
	if err != nil {
		return nil, fmt.Errorf("the relay's metrics: %w", err)
	}
	out := &Sample{Parts: map[string]int64{}}
	for name, to := range map[string]*int64{
		"cowrelay_events": &out.Events, "cowrelay_event_bytes": &out.Left, "cowrelay_retention_events_total": &out.Gone, "cowrelay_compaction_debt_bytes": &out.Debt,
	} {
		v, ok := m[name]
		if !ok {
			return nil, fmt.Errorf("the relay's metrics lack %s", name)
		}
		*to = int64(v)
	}
	err = filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return ignoreGone(err)
		}
		info, err := d.Info()
		if err != nil {
			return ignoreGone(err)
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return nil
		}
		part, err := filepath.Rel(data, path)
		if err != nil {
			return err
		}
		part, _, inFolder := strings.Cut(part, string(filepath.Separator))
		if !inFolder { // the store's files, of which there are many
			part = "store"
		}
		out.Parts[part] += st.Blocks * 512
		out.Disk += st.Blocks * 512
		return nil
	})
	return out, err
}

func ignoreGone(err error) error {
	if os.IsNotExist(err) {
		return nil
	}
	return err
}
