package doctor

import (
	"time"

	"cowrelay/cmd/cowrelay/internal/human"
)

// Seconds that a relay may be away from a log that it shares, or behind it, before it is
// told of.
const (
	awayTrouble   = 3
	behindWarning = 5
)

// fleet tells how a relay stands to a log that it shares with others. A relay with a log
// of its own says nothing of that.
func (e *examination) fleet(values map[string]float64) {
	live, shared := values["cowrelay_fleet_members_live"]
	if !shared {
		return
	}
	known := values["cowrelay_fleet_members"]
	before := len(e.found)
	if away := values["cowrelay_fleet_away_seconds"]; away > awayTrouble {
		e.add("fleet", trouble, "look at the NATS servers, and at the way to them; the relay goes on by itself when the log is back", "the shared log could not be reached for %s: posts are refused", human.Age(time.Duration(away*float64(time.Second))))
	}
	if lag := values["cowrelay_fleet_lag_seconds"]; lag > behindWarning {
		e.add("fleet", warning, "wait if the relay has just started; else look at its disk and its processors", "it is %s and %s entries behind the shared log", human.Took(lag), human.Count(values["cowrelay_fleet_lag_entries"]))
	}
	if silent := known - live; silent > 0 {
		e.add("fleet", warning, "cowrelay admin fleet names them: start them, or forget those that do not come back", "%s of %s relays were not heard of lately", human.Count(silent), human.Count(known))
	}
	if live < 2 {
		e.add("fleet", warning, "start another relay: the log is purged behind what two of them have", "no other relay shares the log now")
	}
	if n := values["cowrelay_fleet_name_conflicts_total"]; n > 0 {
		e.add("fleet", warning, "give one of them another --relay-name", "another relay has had the name of this one")
	}
	if values["cowrelay_retention_waits_for_upgrade"] > 0 {
		e.add("fleet", warning, "when all relays are new enough, run cowrelay admin fleet upgrade; cowrelay admin fleet shows what each reads", "events that should leave by now stay: relays of the fleet may be too old to read that they left")
	}
	if len(e.found) == before {
		e.add("fleet", ok, "", "%s relays share the log; this one is %s entries behind", human.Count(live), human.Count(values["cowrelay_fleet_lag_entries"]))
	}
}
