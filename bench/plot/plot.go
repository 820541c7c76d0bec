package plot

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"cowrelay/bench/report"
)

// pictures are all that Draw can draw.
var pictures = []picture{
	{"ratios", ratiosPicture},
	{"outage", outagePicture},
	{"batches", batchesPicture},
	{"growth", growthPicture},
	{"fanout", fanoutPicture},
	{"memory", memoryPicture},
	{"slots", slotsPicture},
	{"nchan", peerPicture("nchan", "Nchan")},
	{"nats", peerPicture("nats", "NATS JetStream")},
	{"fleet", peerPicture("bare publish", "a bare publish")},
}

// Draw draws what the results have, as DIR/NAME-light.svg and
// DIR/NAME-dark.svg, and returns the files. If a load was run more than once,
// its last result counts.
func Draw(dir string, rs []report.Result) ([]string, error) {
	set := newSet(rs)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("cannot make the folder of the plots: %w", err)
	}
	var files []string
	for _, p := range pictures {
		d := p.of(set)
		if d == nil {
			continue
		}
		drawn, err := drawThemes(dir, p.name, d)
		if files = append(files, drawn...); err != nil {
			return files, err
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("the results have nothing to draw: %s", strings.Join(set.loads(), "; "))
	}
	return files, nil
}

// drawThemes draws d as DIR/NAME-THEME.svg in each theme, and returns the files.
func drawThemes(dir, name string, d drawer) (files []string, err error) {
	for _, t := range themes {
		file := filepath.Join(dir, name+"-"+t.name+".svg")
		if err := os.WriteFile(file, d.draw(t), 0o644); err != nil {
			return files, err
		}
		files = append(files, file)
	}
	return files, nil
}
