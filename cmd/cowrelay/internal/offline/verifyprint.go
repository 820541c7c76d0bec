package offline

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/pebblelog"
)

// faultLine is a fault as JSON.
type faultLine struct {
	Kind     string `json:"kind"`
	Slot     string `json:"slot_id,omitempty"`
	Position *int64 `json:"position,omitempty"`
	What     string `json:"what"`
}

// torn is a log's torn tail as JSON.
type torn struct {
	File     string `json:"file"`
	Offset   int64  `json:"offset"`
	Bytes    int64  `json:"bytes"`
	Readable int    `json:"readable_parts_behind"`
}

func (v *verification) fault(f pebblelog.Fault) {
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

func (v *verification) sum(r pebblelog.Report, took time.Duration) {
	if v.json {
		v.object(struct {
			Sound   bool    `json:"sound"`
			Slots   uint64  `json:"slots"`
			Events  uint64  `json:"events"`
			Bytes   uint64  `json:"bytes"`
			Records uint64  `json:"records"`
			Faults  uint64  `json:"faults"`
			Seconds float64 `json:"seconds"`
			Torn    *torn   `json:"torn_tail,omitempty"`
		}{r.Faults == 0, r.Slots, r.Events, r.Bytes, r.Records, r.Faults, took.Seconds(), (*torn)(v.torn)})
		return
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
