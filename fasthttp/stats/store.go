package stats

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"cowrelay/cow"
)

// StoreFamilies are the families of slots, posts, the journal and the disk, in
// their order.
func StoreFamilies(store *cow.Store, commits *Commits, journal func() Journal) []Family {
	return slices.Concat(slotFamilies(store), postFamilies(store), commits.families(), journalFamilies(store, journal))
}

func slotFamilies(store *cow.Store) []Family {
	fullest := sync.OnceValues(func() (uint64, int) { return store.Fullest() }) // one look at all slots for a scrape
	return []Family{
		Gauge("cowrelay_slots", "Slots that exist.", func() int64 { return int64(store.Len()) }),
		Gauge("cowrelay_slots_max", "Slots that may exist.", func() int64 { return int64(store.Limits().Slots) }),
		Gauge("cowrelay_slots_hot", "Slots whose events are in memory, in whole or in part.", func() int64 { return int64(store.Memory().HotSlots) }),
		Gauge("cowrelay_slots_blocked", "Slots that the operator has blocked.", func() int64 { return store.BlockedSlots() }),
		Counter("cowrelay_slots_allocated_total", "Slots made since the start.", func() uint64 { return store.Stats().SlotsMade.Load() }),
		Counter("cowrelay_slots_removed_total", "Slots removed since the start, by their owners, the operator or retention.", func() uint64 { return store.Stats().SlotsRemoved.Load() }),
		CounterBy("cowrelay_retention_slots_total", "by", "Slots that ended by themselves since the start, by rule: unused (nobody ever used them), idle (nobody did any more).", func(show Show) {
			show("unused", store.Stats().SlotsUnused.Load())
			show("idle", store.Stats().SlotsIdle.Load())
		}),
		Counter("cowrelay_retention_slots_spared_total", "Slots that were to end by themselves and stayed, as somebody used them just then.", func() uint64 { return store.Stats().SlotsSpared.Load() }),
		Counter("cowrelay_retention_events_total", "Events that left their slots since the start, by age or number. Those of slots that ended are not among them.", func() uint64 { return store.Stats().EventsTrimmed.Load() }),
		Counter("cowrelay_retention_ephemeral_events_total", "Those of these events that this relay had leave by --ephemeral-ttl.", func() uint64 { return store.Stats().EphemeralTrimmed.Load() }),
		Counter("cowrelay_retention_bytes_total", "Bytes of the events that left their slots.", func() uint64 { return store.Stats().BytesTrimmed.Load() }),
		Gauge("cowrelay_retention_last_sweep_seconds", "When a sweep for what is to end has ended last, in seconds since 1970; 0: none has.", func() int64 { return store.Stats().SweptAt.Load() }),
		Gauge("cowrelay_retention_behind_seconds", "For how long something should have ended already, when the last sweep ended. Behind a leap of the clock it waits for an hour.", func() int64 { return max(0, store.Stats().SweepBehind.Load()) }),
		Gauge("cowrelay_retention_waits_for_upgrade", "1: events should leave, and wait for cowrelay admin fleet upgrade, as relays of the fleet may be too old to read that; else 0.", func() int64 {
			if store.Stats().TrimsHeld.Load() {
				return 1
			}
			return 0
		}),
		Gauge("cowrelay_slot_bytes_largest", "Bytes of events of the slot that holds most.", func() int64 { bytes, _ := fullest(); return int64(bytes) }),
		Gauge("cowrelay_slot_bytes_max", "Bytes of events that a slot may hold; beyond that posts to it get 413.", func() int64 { return cow.MaxSlotBytes }),
		Gauge("cowrelay_slots_near_full", "Slots that hold 90% of what they may, or more.", func() int64 { _, near := fullest(); return int64(near) }),
		Gauge("cowrelay_events", "Events held by all slots.", func() int64 { return store.Stats().Events.Load() }),
		Gauge("cowrelay_event_bytes", "Bytes of events held by all slots.", func() int64 { return store.Stats().Bytes.Load() }),
	}
}

func postFamilies(store *cow.Store) []Family {
	return []Family{
		Counter("cowrelay_posts_stored_total", "Posts made durable. Of a post of many events, each counts.", func() uint64 { return store.Stats().PostsStored.Load() }),
		Counter("cowrelay_posts_duplicate_total", "Posts whose event id was there already. Of a post of many events, each counts.", func() uint64 { return store.Stats().PostsDuplicate.Load() }),
		CounterBy("cowrelay_posts_refused_total", "reason", "Posts refused before the journal saw them, by reason.", func(show Show) {
			st := store.Stats()
			show("queue_full", st.PostsRejected.Load())
			show("stalled", st.PostsStalled.Load())
			show("expired", st.PostsExpired.Load())
			show("no_space", st.PostsNoSpace.Load())
		}),
		Seconds("cowrelay_queue_oldest_seconds", "How long the post has waited for the journal that has waited longest. Posts to slots that are being loaded may have waited longer.", func() time.Duration { return store.OldestWait() }),
		Seconds("cowrelay_commit_age_seconds", "How long the commit under way has taken; 0 if there is none. From a second on new posts get 503.", func() time.Duration { return store.CommitAge() }),
		Counter("cowrelay_commits_stalled_total", "Commits that took longer than a second, so that new posts got 503.", func() uint64 { return store.Stats().CommitsStalled.Load() }),
		Gauge("cowrelay_queue_posts", "Posts of one event that wait to be handed to the journal.", func() int64 { posts, _ := store.Queue(); return posts }),
		Gauge("cowrelay_queue_posts_max", "Posts of one event that may wait; beyond that they get 503.", func() int64 { return int64(store.Limits().QueuePosts) }),
		Gauge("cowrelay_queue_batch_events", "Events of posts of many that wait beside them.", func() int64 { return store.QueuedLines() }),
		Gauge("cowrelay_queue_batch_events_max", "Events of such posts that may wait; beyond that they get 503.", func() int64 { return int64(store.Limits().QueueLines) }),
		Gauge("cowrelay_queue_bytes", "Bytes of the events of all posts that wait.", func() int64 { _, bytes := store.Queue(); return bytes }),
		Gauge("cowrelay_queue_bytes_max", "Bytes that they may hold, half of them those of posts of many events.", func() int64 { return int64(store.Limits().QueueBytes) }),
	}
}

// MemoryFamilies are the families of what is in memory, and of what goes from
// there and comes back.
func MemoryFamilies(store *cow.Store) []Family {
	return []Family{
		Gauge("cowrelay_memory_budget_bytes", "Memory that slots may take, with what counts beside them.", func() int64 { return store.Memory().Limit }),
		{Info{"cowrelay_memory_bytes", "gauge", "Memory that counts on the budget, by what holds it: chunk (events and their tables), index, frame, desk (rows of the directory, texts of pairs), other, and retired (evicted, and not collected yet)."},
			func(w io.Writer, name string) {
				m := store.Memory()
				for _, part := range []struct {
					kind  string
					bytes int64
				}{{"chunk", m.Chunks}, {"index", m.Index}, {"frame", m.Frames}, {"desk", m.Desk}, {"other", m.Used - m.Chunks - m.Index - m.Frames - m.Desk}, {"retired", m.Retired}} {
					fmt.Fprintf(w, "%s{kind=%q} %d\n", name, part.kind, part.bytes)
				}
			}},
		CounterBy("cowrelay_evictions_total", "kind", "What left memory to make room, by kind.", func(show Show) {
			m := store.Memory()
			show("chunk", m.EvictedChunks)
			show("slot", m.EvictedSlots)
		}),
		CounterBy("cowrelay_loads_total", "kind", "What was read back from the store, by kind.", func(show Show) {
			st := store.Stats()
			show("chunk", st.ChunkLoads.Load())
			show("part", st.PartLoads.Load())
			show("slot", st.SlotLoads.Load())
		}),
		Counter("cowrelay_load_errors_total", "Loads that failed.", func() uint64 { return store.Stats().LoadErrors.Load() }),
		Counter("cowrelay_loads_refused_total", "Waits for loads that ended with 503: too many waited, or there was no turn or no memory in time.", func() uint64 { return store.Stats().LoadsRefused.Load() }),
	}
}
