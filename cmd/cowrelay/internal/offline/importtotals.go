package offline

import (
	"errors"

	"cowrelay/cow"

	"github.com/go-json-experiment/json"
)

// keyTotals is the record of what imports have added to the totals, beside the slots
// and events that they stored, which count themselves. It changes in one batch with
// the totals, so that nothing is ever added twice.
const keyTotals = "import/totals"

// importTotals is the JSON of the record, and of the file.
type importTotals struct {
	Slots       uint64 `json:"slot_allocations_total"`
	Events      uint64 `json:"events_posted_total"`
	Claims      uint64 `json:"handle_claims_total"`
	FirstClaims uint64 `json:"handle_first_claims_total"`
	Pairs       uint64 `json:"pair_opens_total"`
}

// totals adds what the other relay counted, and what is not there any more.
func (i *importing) totals() error {
	f, ok := i.src.top[fileCounters]
	if !ok {
		return nil
	}
	data, err := i.src.whole(f, maxImportSmall)
	if err != nil {
		return i.told.leave(kindTotal, f.path, nil, "the file can't be read", err.Error())
	}
	var want, had importTotals
	if err := json.Unmarshal(data, &want, importJSON); err != nil {
		return i.told.leave(kindTotal, f.path, nil, "the file can't be read", err.Error())
	}
	old, version, err := i.to.value(keyTotals)
	if err == nil {
		err = json.Unmarshal(old, &had, importJSON)
	}
	if err != nil && !errors.Is(err, cow.ErrNoRecord) {
		return err
	}
	// Slots and events that the import stored, now or before, count already.
	stored := func(k importKind) uint64 { return uint64(i.told.taken[k] + i.told.there[k]) }
	now, add := had, cow.Totals{}
	for _, t := range []struct {
		want, stored uint64
		had          *uint64
		add          *uint64
	}{
		{want.Slots, stored(kindSlot), &now.Slots, &add.SlotAllocations},
		{want.Events, stored(kindEvent), &now.Events, &add.EventsPosted},
		{want.Claims, 0, &now.Claims, &add.HandleClaims},
		{want.FirstClaims, 0, &now.FirstClaims, &add.HandleFirstClaims},
		{want.Pairs, 0, &now.Pairs, &add.PairOpens},
	} {
		if t.want > t.stored+*t.had {
			*t.add = t.want - t.stored - *t.had
			*t.had += *t.add
			i.told.taken[kindTotal]++
		} else {
			i.told.there[kindTotal]++
		}
	}
	if add == (cow.Totals{}) || i.to.log == nil {
		return i.passed(f.size)
	}
	value, err := json.Marshal(now)
	if err != nil {
		return err
	}
	if err := i.to.room(); err != nil {
		return err
	}
	if _, err := i.to.log.Put(keyTotals, value, version, add); err != nil {
		return err
	}
	return i.passed(f.size)
}
