package stats

import (
	"fmt"
	"io"
	"time"

	"cowrelay/cow"
)

// Journal is what the journal says of itself, beside what is measured of it.
// Counts are since the start.
type Journal struct {
	Errors     uint64 // failed flushes and compactions, and damage found
	SlowWrites uint64 // operations of the disk that took seconds
	Stalls     uint64 // times that the store could take no more, because its flushes or compactions were behind
	TornBytes  uint64 // at the end of the log, which the start could not read and dropped
	DiskBytes  uint64 // of all files of the store, the log's too
	DiskUsed   uint64 // bytes that the data folder takes of the disk, as du says; 0 if nobody knows

	CompactionDebt uint64 // bytes that compactions of the store would write to come to rest
	CacheHits      uint64 // blocks of the store that were in its cache
	CacheMisses    uint64 // and that were not
	CacheBytes     uint64 // that the cache holds

	Recovery time.Duration // how long the replay of the log at the start took
	Replayed uint64        // entries that it brought into the store

	LogBytes    uint64 // of all files of the log
	LogSegments uint64 // files of the log
	LogSyncs    uint64 // syncs of the log
	LogWritten  uint64 // bytes written to the log

	BacklogBytes   uint64 // of entries that the store has not applied yet
	BacklogMax     uint64 // bytes at which commits wait
	BacklogEntries uint64 // how many entries the store is behind the log
	BacklogWaits   uint64 // times that a commit waited because the backlog was full
}

// journalFamilies are those of the journal and of the disk under it.
func journalFamilies(store *cow.Store, journal func() Journal) []Family {
	return []Family{
		Counter("cowrelay_journal_errors_total", "Flushes and compactions of the store that failed, and damage found in it.", func() uint64 { return journal().Errors }),
		Counter("cowrelay_journal_slow_writes_total", "Operations of the store's disk that took seconds.", func() uint64 { return journal().SlowWrites }),
		Counter("cowrelay_journal_stalls_total", "Times that the store could take no more, because its flushes or compactions were behind.", func() uint64 { return journal().Stalls }),
		Gauge("cowrelay_journal_torn_bytes", "Bytes at the end of the log that the start could not read and dropped: the rest of a write that a crash cut off, or damage.", func() int64 { return int64(journal().TornBytes) }),
		Counter("cowrelay_journal_recoveries_total", "Appends that met another writer or an unknown outcome.", func() uint64 { return store.Stats().Recoveries.Load() }),

		Counter("cowrelay_journal_syncs_total", "Syncs of the log to stable storage.", func() uint64 { return journal().LogSyncs }),
		Counter("cowrelay_journal_written_bytes_total", "Bytes written to the log.", func() uint64 { return journal().LogWritten }),
		Gauge("cowrelay_journal_bytes", "Bytes of all files of the log.", func() int64 { return int64(journal().LogBytes) }),
		Gauge("cowrelay_journal_segments", "Files of the log.", func() int64 { return int64(journal().LogSegments) }),
		Gauge("cowrelay_backlog_bytes", "Memory of entries of the log that the store has not applied yet.", func() int64 { return int64(journal().BacklogBytes) }),
		Gauge("cowrelay_backlog_bytes_max", "Memory that they may take; beyond that commits wait for the store.", func() int64 { return int64(journal().BacklogMax) }),
		Gauge("cowrelay_backlog_entries", "How many entries the store is behind the log.", func() int64 { return int64(journal().BacklogEntries) }),
		Counter("cowrelay_backlog_waits_total", "Times that a commit waited for the store, because the backlog was full.", func() uint64 { return journal().BacklogWaits }),

		Gauge("cowrelay_store_bytes", "Bytes of all files of the store and of the log, by their lengths.", func() int64 { return int64(journal().DiskBytes) }),
		{Info{"cowrelay_disk_used_bytes", "gauge", "Bytes of the disk that the data folder takes, as du counts: with what is reserved, deleted late, or of no file of the store."}, func(w io.Writer, name string) {
			if used := journal().DiskUsed; used > 0 {
				fmt.Fprintf(w, "%s %d\n", name, used)
			}
		}},
		Gauge("cowrelay_compaction_debt_bytes", "Bytes that compactions of the store would still write to come to rest.", func() int64 { return int64(journal().CompactionDebt) }),
		CounterBy("cowrelay_store_cache_total", "outcome", "Blocks that were read of the store, by outcome: hit (the cache had it), miss.", func(show Show) {
			j := journal()
			show("hit", j.CacheHits)
			show("miss", j.CacheMisses)
		}),
		Gauge("cowrelay_store_cache_bytes", "Bytes that the store's cache holds.", func() int64 { return int64(journal().CacheBytes) }),
		Seconds("cowrelay_recovery_duration_seconds", "How long the start took to bring the rest of the log into the store.", func() time.Duration { return journal().Recovery }),
		Gauge("cowrelay_recovery_entries", "Entries of the log that the start brought into the store.", func() int64 { return int64(journal().Replayed) }),
		{Info{"cowrelay_disk_free_bytes", "gauge", "Free space of the store's disk."}, func(w io.Writer, name string) {
			// Nothing where nobody knows.
			if free, known := store.FreeSpace(); known {
				fmt.Fprintf(w, "%s %d\n", name, free)
			}
		}},
		Gauge("cowrelay_disk_reserve_bytes", "Free space below which posts are refused.", func() int64 { return int64(store.Limits().Reserve) }),
	}
}
