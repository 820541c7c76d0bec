package offline

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/engine"
)

// faultLine is a fault as JSON.
type faultLine struct {
	Kind     string `json:"kind"`
	Slot     string `json:"slot_id,omitempty"`
	Position *int64 `json:"position,omitempty"`
	What     string `json:"what"`
}

// logLine is how far the log reaches as JSON.
type logLine struct {
	Last    uint64 `json:"last_entry"`
	Applied uint64 `json:"applied_entry"`
	ToApply uint64 `json:"entries_to_apply"`
	Bytes   int64  `json:"bytes"`
	Torn    int64  `json:"torn_bytes"`
}

// torn is the torn tail of a log of format 1 as JSON.
type torn struct {
	File     string `json:"file"`
	Offset   int64  `json:"offset"`
	Bytes    int64  `json:"bytes"`
	Readable int    `json:"readable_parts_behind"`
}

func (v *verification) fault(f engine.Fault) {
	if v.told++; v.told > v.most {
		return
	}
	if !v.json {
		v.line(f.String())
		return
	}
	line := faultLine{Kind: f.Kind, What: f.What}
	if f.Slot != (cow.ID{}) {
		line.Slot = f.Slot.String()
	}
	if f.Position >= 0 {
		line.Position = &f.Position
	}
	v.object(line)
}

func (v *verification) sum(r engine.Report, took time.Duration) {
	if v.json {
		v.object(struct {
			Sound   bool     `json:"sound"`
			Slots   uint64   `json:"slots"`
			Events  uint64   `json:"events"`
			Bytes   uint64   `json:"bytes"`
			Records uint64   `json:"records"`
			Faults  uint64   `json:"faults"`
			Seconds float64  `json:"seconds"`
			Log     *logLine `json:"log,omitempty"`
			Torn    *torn    `json:"torn_tail,omitempty"`
		}{r.Faults == 0, r.Slots, r.Events, r.Bytes, r.Records, r.Faults, took.Seconds(), v.logLine(), (*torn)(v.torn)})
		return
	}
	if l := v.logLine(); l != nil {
		v.line(fmt.Sprintf("log: it reaches to entry %d, the store has entry %d, a start applies %d entries", l.Last, l.Applied, l.ToApply))
		if l.Torn > 0 {
			v.line(fmt.Sprintf("note: %d bytes at the end of the log are the rest of a write that a crash cut off; a start drops them", l.Torn))
		}
	}
	if v.torn != nil {
		v.line("note: " + v.torn.String())
	}
	state := "sound"
	if r.Faults > 0 {
		state = "not sound"
		if more := v.told - v.most; more > 0 {
			v.line(fmt.Sprintf("and %d more", more))
		}
	}
	v.line(fmt.Sprintf("%s: looked at %d slots, %d events and %d records, %s", state, r.Slots, r.Events, r.Records, amount(r.Bytes, took)))
}

func (v *verification) logLine() *logLine {
	if v.log == nil {
		return nil
	}
	return &logLine{v.log.Last, v.log.Applied, v.log.Last - v.log.Applied, v.log.Bytes, v.log.Torn}
}

func (v *verification) object(o any) {
	b, err := json.Marshal(o)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	v.line(string(b))
}

func (v *verification) line(s string) {
	if _, err := io.WriteString(v.out, s+"\n"); err != nil && v.err == nil {
		v.err = err
	}
}
