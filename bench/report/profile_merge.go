package report

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/pprof/profile"
)

// Finish writes the profiles to their folder.
func (p *Profiler) Finish() error {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.spans["cpu"]) == 0 {
		return errors.New("nothing was profiled: this load has no measured rounds")
	}
	for _, name := range ProfileFiles {
		file := filepath.Join(p.dir, name+".pprof")
		parts := p.spans[name]
		if profiledSpans[name] == "" {
			parts = [][]byte{p.last[name]}
		}
		if err := mergeProfiles(file, parts); err != nil {
			return fmt.Errorf("cannot write %s: %w", file, err)
		}
	}
	return nil
}

// mergeProfiles writes the sum of profiles to file. Of the program's path it
// keeps the name alone: where the program stood matters to nobody.
func mergeProfiles(file string, parts [][]byte) error {
	var all []*profile.Profile
	for _, b := range parts {
		p, err := profile.ParseData(b)
		if err != nil {
			return err
		}
		all = append(all, p)
	}
	sum, err := profile.Merge(all)
	if err != nil {
		return err
	}
	for _, m := range sum.Mapping {
		m.File = filepath.Base(m.File)
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(sum.Write(f), f.Close())
}
