package stats

import (
	"fmt"
	"io"

	"cowrelay/cow"
)

// Journal is what the journal says of itself, beside what is measured of it.
// Counts are since the start.
type Journal struct {
	Errors     uint64 // failed flushes and compactions, and damage found
	SlowWrites uint64 // operations of the disk that took seconds
	Stalls     uint64 // times that commits waited for flushes or compactions
	TornBytes  uint64 // at the end of the log, which the start could not read and dropped
	DiskBytes  uint64 // of all files of the store
}

// journalFamilies are those of the journal and of the disk under it.
func journalFamilies(store *cow.Store, journal func() Journal) []Family {
	return []Family{
		Counter("cowrelay_journal_errors_total", "Flushes and compactions of the store that failed, and damage found in it.", func() uint64 { return journal().Errors }),
		Counter("cowrelay_journal_slow_writes_total", "Operations of the store's disk that took seconds.", func() uint64 { return journal().SlowWrites }),
		Counter("cowrelay_journal_stalls_total", "Times that commits waited for flushes or compactions.", func() uint64 { return journal().Stalls }),
		Gauge("cowrelay_journal_torn_bytes", "Bytes at the end of the log that the start could not read and dropped: the rest of a write that a crash cut off, or damage.", func() int64 { return int64(journal().TornBytes) }),
		Counter("cowrelay_journal_recoveries_total", "Appends that met another writer or an unknown outcome.", func() uint64 { return store.Stats().Recoveries.Load() }),

		Gauge("cowrelay_store_bytes", "Bytes of all files of the store.", func() int64 { return int64(journal().DiskBytes) }),
		{Info{"cowrelay_disk_free_bytes", "gauge", "Free space of the store's disk."}, func(w io.Writer, name string) {
			// Nothing where nobody knows.
			if free, known := store.FreeSpace(); known {
				fmt.Fprintf(w, "%s %d\n", name, free)
			}
		}},
		Gauge("cowrelay_disk_reserve_bytes", "Free space below which posts are refused.", func() int64 { return int64(store.Limits().Reserve) }),
	}
}
