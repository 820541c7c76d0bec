package plot

import (
	"errors"
	"slices"
)

// A timeChart is a picture of what went on over a long run.
type timeChart struct {
	name  string
	chart lineChart
}

// drawTimes draws the charts that have points, over the time in a unit, and returns the
// files.
func drawTimes(dir, caption, unit string, charts []timeChart) ([]string, error) {
	var files []string
	for _, p := range charts {
		c := p.chart
		c.caption, c.xName, c.xUnit, c.linear = caption, unit, plain, true
		c.lines = slices.DeleteFunc(c.lines, func(l curve) bool { return len(l.points) == 0 })
		if len(c.lines) == 0 {
			continue
		}
		drawn, err := drawThemes(dir, p.name, &c)
		if files = append(files, drawn...); err != nil {
			return files, err
		}
	}
	if len(files) == 0 {
		return nil, errors.New("the record of the run has nothing to draw")
	}
	return files, nil
}
