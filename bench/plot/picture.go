package plot

// A picture is what is drawn of some results. It draws nothing if they lack
// what it shows.
type picture struct {
	name string
	of   func(*set) drawer
}

// A drawer is a chart that is ready to be drawn.
type drawer interface{ draw(*theme) []byte }
