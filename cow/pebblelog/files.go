package pebblelog

import (
	"runtime"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
)

// files is how the store keeps to so many descriptors. Tables that were read
// stay open in a cache. On top comes what is open for a while: whoever reads, a
// load or a compaction, has a table of each layer, and another descriptor of
// each that it reads on end, by which the system reads ahead. So where there are
// few descriptors there are few layers and few readers.
type files struct {
	tables      int // in the cache
	compactAt   int // layers
	stopAt      int // layers, at which writes wait
	compactions int // at once
	few         bool
}

// otherFiles are the locks, the folder for each of Pebble's parts, manifest and
// log and what takes their place, and the tables that are written.
const otherFiles = 15

func (o Options) files() files {
	if o.OpenFiles < fewFiles {
		return files{tables: o.OpenFiles - otherFiles - 8, compactAt: 2, stopAt: 6, compactions: 1, few: true}
	}
	return files{tables: o.OpenFiles - 128, compactAt: 4, stopAt: 24, compactions: 2}
}

// cache returns one for the open tables. Without it Pebble has at least 64 of
// them open, whatever its options say.
func (f files) cache() *pebble.FileCache {
	return pebble.NewFileCache(max(min(runtime.GOMAXPROCS(0), f.tables/32), 1), f.tables)
}

// limit keeps readers to one descriptor a table and to so many tables, and loads
// to one at a time.
func (f files) limit(l *Log, o *pebble.Options) {
	if f.few {
		l.loading = make(chan struct{}, 1)
		l.readers = newReaders(l.opts.OpenFiles - otherFiles)
		o.Local.ReadaheadConfig = objstorageprovider.NewReadaheadConfig()
		o.Local.ReadaheadConfig.Set(objstorageprovider.SysReadahead, objstorageprovider.SysReadahead)
	}
}

// enterLoad waits for its turn where loads are one at a time.
func (l *Log) enterLoad() (leave func()) {
	if l.loading == nil {
		return func() {}
	}
	l.loading <- struct{}{}
	return func() { <-l.loading }
}
