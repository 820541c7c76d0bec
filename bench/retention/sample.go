package retention

import (
	"context"
	"fmt"
	"time"

	"cowrelay/bench/attack/books"
	"cowrelay/bench/load"
	"cowrelay/bench/record"
)

// sample reads the disk and the relay's counts. data is the relay's data folder.
func sample(ctx context.Context, s *load.Server, data string) (*Sample, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	m, err := books.Metrics(ctx, s.Admin, "")
	if err != nil {
		return nil, fmt.Errorf("the relay's metrics: %w", err)
	}
	out := &Sample{}
	for name, to := range map[string]*int64{
		"cowrelay_events": &out.Events, "cowrelay_event_bytes": &out.Left, "cowrelay_retention_events_total": &out.Gone, "cowrelay_compaction_debt_bytes": &out.Debt,
	} {
		v, ok := m[name]
		if !ok {
			return nil, fmt.Errorf("the relay's metrics lack %s", name)
		}
		*to = int64(v)
	}
	if out.Parts, out.Disk, err = record.DiskUse(data); err != nil {
		return nil, err
	}
	// The store's files, of which there are many, lie beside the folders.
	out.Parts["store"] = out.Parts["."]
	delete(out.Parts, ".")
	return out, nil
}
