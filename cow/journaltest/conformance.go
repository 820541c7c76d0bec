package journaltest

import (
	"testing"

	"cowrelay/cow"
)

// Open gives a suite an empty journal and its records. reopen closes both and
// opens what they stored again; it may be called any number of times. What is
// open at the end of the test is closed by a cleanup.
type Open = func(t testing.TB) (cow.Journal, cow.Records, func() (cow.Journal, cow.Records))

// Run holds a journal and its records to what package cow relies on.
func Run(t *testing.T, open Open) {
	tests := []struct {
		name string
		run  func(*testing.T, *suite)
	}{
		{"Slot", testSlot},
		{"Versions", testVersions},
		{"Batch", testBatch},
		{"LoadFrom", testLoadFrom},
		{"LoadStops", testLoadStops},
		{"OwnBytes", testOwnBytes},
		{"LargeEvents", testLargeEvents},
		{"Remove", testRemove},
		{"Touch", testTouch},
		{"Trim", testTrim},
		{"Slots", testSlots},
		{"Reopen", testReopen},
		{"LoadWhileCommitting", testLoadWhileCommitting},
		{"Random", testRandom},
		{"Record", testRecord},
		{"RecordVersions", testRecordVersions},
		{"RecordList", testRecordList},
		{"RecordRace", testRecordRace},
		{"RecordWatch", testRecordWatch},
		{"RecordCount", testRecordCount},
		{"RecordCountRace", testRecordCountRace},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := &suite{T: t, model: make(map[cow.ID]*modelSlot)}
			s.j, s.r, s.reopenFunc = open(t)
			test.run(t, s)
		})
	}
}
