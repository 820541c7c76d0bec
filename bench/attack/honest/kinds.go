package honest

// Phases of a drill.
const (
	Before int32 = iota
	During
	After
	Between // not measured, but errors count
	Ending  // the relay has been told to end; nothing counts
	phases
)

// The kinds of things that honest clients do. Each has a histogram.
const (
	OpPost     = iota // a small event, now and then a large one, over a kept connection
	opPoll            // what is new, over a new connection
	opWindow          // a page of 100 events
	opCold            // a page of a slot that nobody has used since the start
	opScrape          // the operator's metrics
	OpStream          // from a post to its frame at each stream
	OpLongPoll        // from a post to the answer of a long poll
	opClaim           // a claim of a nick, over a kept connection as all that follow
	opIntro           // an introduction
	opInvite          // the script of an invite
	opPair            // what two agents do to pair
	opKinds
)

var opNames = [opKinds]string{"post", "poll", "window", "cold", "metrics", "stream", "long poll", "claim", "introduction", "invite", "pair"}
