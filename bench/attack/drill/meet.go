package drill

import (
	"context"
	"fmt"

	"cowrelay/bench/attack/client"
	"cowrelay/bench/attack/relay"
)

// meetDrill floods what agents find each other by. All agents come through one
// proxy, which names their addresses. Honest agents claim, introduce themselves,
// use invites and pair meanwhile.
var meetDrill = Drill{
	Name: "meet", what: "floods of claims, introductions, invites, pairs and guesses of their ids",
	Variants: func(c Scale) []Variant {
		most := c.Of(4000, 1000)
		flags := []string{
			"--trusted-proxies=" + client.ProxyIP.String(),
			fmt.Sprintf("--max-handles=%d", most), fmt.Sprintf("--max-invites=%d", most), fmt.Sprintf("--max-pairs=%d", most),
		}
		// With these a flood comes to the bounds behind the limits of rates.
		wide := append(flags[:len(flags):len(flags)], "--rate-limits=post=5000/5000,meet=5000/5000")
		one := func(what string, addresses int, flags []string, floods ...*flood) Variant {
			return meetVariant(fmt.Sprintf("%s, %s", what, manyAddresses(addresses)), flags, addresses, most, c.Of(1000, 500), floods)
		}
		all := func() []*flood { return []*flood{claims(), introductions(), invites(), pairs(), guesses()} }
		out := []Variant{
			one("all at once", 1, wide, all()...),
			one("all at once until all bounds are reached", 8, wide, all()...),
		}
		if !c.Short {
			for _, f := range all() {
				out = append(out, one(f.name, 1, wide, f))
			}
			out = append(out, one("all at once with the usual limits", 1, flags, all()...))
		}
		return out
	},
}

func manyAddresses(n int) string {
	if n == 1 {
		return "from one address"
	}
	return fmt.Sprintf("from %d addresses", n)
}

// floodGrowth is how much the process may grow by all that the floods take, in
// bytes. Most of it is the texts of pairs, which count on the memory budget.
const floodGrowth = 256 << 20

// meetVariant floods from so many addresses. Each may have a quarter of what there
// may be.
func meetVariant(name string, flags []string, addresses, most, rate int, floods []*flood) Variant {
	for _, f := range floods {
		f.addresses, f.rate = addresses, max(rate/len(floods), 1)
		if f.most == 0 {
			f.most = min(addresses*most/4, most)
		} else {
			f.most *= addresses
		}
	}
	return Variant{
		Name: name, Relay: relay.Args{Flags: flags},
		Meets: true, Full: addresses > 1, Growth: floodGrowth,
		Attack: func(ctx context.Context, r *Scene, armed func()) error {
			c, done := client.At(client.ProxyIP, len(floods)*floodWorkers)
			defer done()
			s, err := r.Relay.Allocate(ctx, client.Fresh)
			if err != nil {
				return ignoreEnd(ctx, r, err)
			}
			var all []Attack
			for _, f := range floods {
				all = append(all, f.attack(c, s))
			}
			return join(all...)(ctx, r, armed)
		},
		During: func(_ context.Context, r *Scene) {
			for _, f := range floods {
				f.bar(r)
			}
			noStrangeAnswers(r, floods)
		},
	}
}

// bar checks what the flood has got.
func (f *flood) bar(r *Scene) {
	taken, refused := f.taken.Load(), f.refused.Load()
	most := max(f.most, 0)
	if f.every > 0 {
		most += f.addresses * int(r.Lasted/f.every+1)
	}
	seen := fmt.Sprintf("%d taken, %d refused in %.0f s", taken, refused, r.Lasted.Seconds())
	var err error
	if taken > int64(most) || refused == 0 {
		err = fmt.Errorf("%s, bound is %d", seen, most)
	}
	r.Bar(f.name+" stay within their share", err, seen)
}
