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
	Garbage        uint64 // bytes of the store that were deleted and are not freed yet
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

	Fleet *Fleet // of a log that relays share; nil: the log is this relay's own
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
		Gauge("cowrelay_store_garbage_bytes", "Bytes of the store that were deleted and that compactions have not freed yet, as the store estimates.", func() int64 { return int64(journal().Garbage) }),
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

// Fleet is what a relay says of the log that it shares with others. Counts are since
// the start.
type Fleet struct {
	Applied uint64        // the newest entry that this relay has applied
	Head    uint64        // the newest entry that the log is known to have
	Durable uint64        // the newest entry that its store keeps over a crash
	Purged  uint64        // up to here this relay has purged the log; 0: it has not
	Lag     time.Duration // since when the log has an entry that this relay has not applied
	Away    time.Duration // for so long the log could not be reached; 0: it can be

	Own, Others  uint64 // entries that came from the log, by whose they are
	Ignored      uint64 // of them those that did not count: sent twice, or out of order
	Resent       uint64 // entries that were sent again
	Pending      uint64 // entries that were sent and not seen
	PendingBytes uint64 // of them
	FeedBytes    uint64 // of others' events that wait to be shown to readers
	FeedLost     uint64 // times that others' events did not fit there, and were read from the store

	Members, Live int    // relays that the log knows, and those of them heard of lately
	Twins         uint64 // times that another relay had the name of this one
	Format, Reads int    // the newest format of entries that relays may write, and that this one reads

	Link Link
}

// Link is how a relay stands to the servers of the log that it shares. Counts are since
// the start.
type Link struct {
	Connected bool      // there is a connection to a server
	Unfit     bool      // a server does not promise any more what relays promise
	ErrorAt   time.Time // when the last thing went wrong; zero: nothing has

	Answered   uint64 // entries that a server said to have stored
	Refused    uint64 // entries that a server refused
	Unanswered uint64 // entries that no server answered in time
	InFlight   uint64 // entries that wait for an answer
	Reconnects uint64 // connections behind the first one
	Consumers  uint64 // readers of the log that were begun: one, and one for each interruption
}

// FleetFamilies are those of the shared log. A relay with a log of its own shows none
// of them.
func FleetFamilies(journal func() Journal) []Family {
	shown := func(kind, name, help string, print func(w io.Writer, name string, f Fleet)) Family {
		return Family{Info{name, kind, help}, func(w io.Writer, name string) {
			if f := journal().Fleet; f != nil {
				print(w, name, *f)
			}
		}}
	}
	number := func(kind, name, help string, value func(Fleet) uint64) Family {
		return shown(kind, name, help, func(w io.Writer, name string, f Fleet) { fmt.Fprintf(w, "%s %d\n", name, value(f)) })
	}
	seconds := func(name, help string, value func(Fleet) time.Duration) Family {
		return shown("gauge", name, help, func(w io.Writer, name string, f Fleet) { fmt.Fprintf(w, "%s %g\n", name, value(f).Seconds()) })
	}
	by := func(name, help string, own, others func(Fleet) uint64) Family {
		return shown("counter", name, help, func(w io.Writer, name string, f Fleet) {
			fmt.Fprintf(w, "%s{by=\"own\"} %d\n%s{by=\"others\"} %d\n", name, own(f), name, others(f))
		})
	}
	flag := func(name, help string, value func(Fleet) bool) Family {
		return number("gauge", name, help, func(f Fleet) uint64 {
			if value(f) {
				return 1
			}
			return 0
		})
	}
	return []Family{
		number("gauge", "cowrelay_fleet_applied", "Of a log that relays share: the newest entry that this relay has applied.", func(f Fleet) uint64 { return f.Applied }),
		number("gauge", "cowrelay_fleet_head", "The newest entry that the shared log is known to have.", func(f Fleet) uint64 { return f.Head }),
		number("gauge", "cowrelay_fleet_durable", "The newest entry of the shared log that this relay's store keeps over a crash.", func(f Fleet) uint64 { return f.Durable }),
		number("gauge", "cowrelay_fleet_lag_entries", "How many entries this relay is behind the shared log.", func(f Fleet) uint64 { return f.Head - min(f.Applied, f.Head) }),
		seconds("cowrelay_fleet_lag_seconds", "Since when the shared log has an entry that this relay has not applied; 0: it has none.", func(f Fleet) time.Duration { return f.Lag }),
		seconds("cowrelay_fleet_away_seconds", "For how long the shared log could not be reached; 0: it can be.", func(f Fleet) time.Duration { return f.Away }),
		number("gauge", "cowrelay_fleet_purged", "The entry up to which this relay has purged the shared log since its start; 0: it has not.", func(f Fleet) uint64 { return f.Purged }),
		by("cowrelay_fleet_entries_total", "Entries that came from the shared log, by whose they are: own, others.", func(f Fleet) uint64 { return f.Own }, func(f Fleet) uint64 { return f.Others }),
		number("counter", "cowrelay_fleet_ignored_total", "Of them those that did not count: sent twice, or before one that was lost on the way.", func(f Fleet) uint64 { return f.Ignored }),
		number("counter", "cowrelay_fleet_resent_total", "Entries that were sent to the shared log again, since they were not seen there in time.", func(f Fleet) uint64 { return f.Resent }),
		number("gauge", "cowrelay_fleet_pending", "Entries that were sent to the shared log and not seen there yet.", func(f Fleet) uint64 { return f.Pending }),
		number("gauge", "cowrelay_fleet_pending_bytes", "Bytes of those entries.", func(f Fleet) uint64 { return f.PendingBytes }),
		number("gauge", "cowrelay_fleet_feed_bytes", "Bytes of other relays' events that wait to be shown to this relay's readers.", func(f Fleet) uint64 { return f.FeedBytes }),
		number("counter", "cowrelay_fleet_feed_lost_total", "Times that other relays' events did not fit there, and were read from the store instead.", func(f Fleet) uint64 { return f.FeedLost }),
		number("gauge", "cowrelay_fleet_members", "Relays that the shared log knows.", func(f Fleet) uint64 { return uint64(f.Members) }),
		number("gauge", "cowrelay_fleet_members_live", "Of them those that were heard of in the last half minute, this one among them.", func(f Fleet) uint64 { return uint64(f.Live) }),
		number("counter", "cowrelay_fleet_name_conflicts_total", "Times that another relay was found to have the name of this one (--relay-name).", func(f Fleet) uint64 { return f.Twins }),
		number("gauge", "cowrelay_fleet_format", "The newest format of entries that the relays may write: cowrelay admin fleet upgrade raises it.", func(f Fleet) uint64 { return uint64(f.Format) }),
		number("gauge", "cowrelay_fleet_format_readable", "The newest format of entries that this relay reads.", func(f Fleet) uint64 { return uint64(f.Reads) }),
		flag("cowrelay_fleet_log_connected", "1: this relay has a connection to a server of the shared log.", func(f Fleet) bool { return f.Link.Connected }),
		flag("cowrelay_fleet_log_unfit", "1: a server of the shared log does not promise any more what relays promise: it is too old, or does not sync before it acknowledges. /readyz of the admin listener and the log name it.", func(f Fleet) bool { return f.Link.Unfit }),
		shown("gauge", "cowrelay_fleet_log_error_timestamp_seconds", "When something last went wrong between this relay and the servers of the shared log, Unix time; 0: nothing has. The log says what.", func(w io.Writer, name string, f Fleet) {
			at := int64(0)
			if !f.Link.ErrorAt.IsZero() {
				at = f.Link.ErrorAt.Unix()
			}
			fmt.Fprintf(w, "%s %d\n", name, at)
		}),
		shown("counter", "cowrelay_fleet_log_answers_total", "Entries that this relay sent to the shared log, by what became of them: stored, refused (by a server), unanswered (in time). Those that are not stored are sent again.", func(w io.Writer, name string, f Fleet) {
			fmt.Fprintf(w, "%s{result=\"stored\"} %d\n%s{result=\"refused\"} %d\n%s{result=\"unanswered\"} %d\n", name, f.Link.Answered, name, f.Link.Refused, name, f.Link.Unanswered)
		}),
		number("gauge", "cowrelay_fleet_log_in_flight", "Entries that were sent to a server of the shared log and wait for its answer.", func(f Fleet) uint64 { return f.Link.InFlight }),
		number("counter", "cowrelay_fleet_log_reconnects_total", "Connections to servers of the shared log that were made in place of one that broke.", func(f Fleet) uint64 { return f.Link.Reconnects }),
		number("counter", "cowrelay_fleet_log_readers_total", "Times that this relay began to read the shared log: once, and once more for each interruption.", func(f Fleet) uint64 { return f.Link.Consumers }),
	}
}
