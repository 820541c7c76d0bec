package trim

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"cowrelay/cmd/cowrelay/internal/plan"
)

// A group is the control group that this process is in.
type group struct {
	usage, stat, cache string // files, and the line of stat that counts the page cache
	limit              int64
	files              int64 // of limit, as plan.Memory has it
}

// noLimit is more than any machine has. Version 1 says so where there is no limit.
const noLimit = 1 << 50

// findGroup finds the control group. Without one that has a limit it is nil.
func findGroup(root, self string) *group {
	for _, d := range plan.Groups(root, self, "memory") {
		limit, usage, cache := "memory.limit_in_bytes", "memory.usage_in_bytes", "total_cache"
		if d.V2 {
			limit, usage, cache = "memory.max", "memory.current", "file"
		}
		if n := number(filepath.Join(d.Path, limit)); n > 0 && n < noLimit {
			m := plan.ShareMemory(n, 0, 0)
			return &group{
				usage: filepath.Join(d.Path, usage), stat: filepath.Join(d.Path, "memory.stat"), cache: cache,
				limit: n, files: m.Files,
			}
		}
	}
	return nil
}

// trim drops the page cache of files in dir if it takes more than its part, and the
// group has begun to use a quarter of its limit that comes last. It begins that soon
// as a compaction can write half of that quarter before the next look. While the
// process is quiet it does so at any use: nobody reads that cache, and others on the
// machine may need the memory. The files that were changed longest ago come first. It
// returns how many files it went through.
func (g *group) trim(dir string, quiet bool) (files int) {
	from, to := g.limit/4*3, g.limit/16*11
	if quiet {
		from, to = 0, 0
	}
	if !g.over(from, g.files) {
		return 0
	}
	for _, name := range byAge(dir) {
		if dropCache(name) == nil {
			files++
		}
		if files%8 == 0 && !g.over(to, g.files/2) {
			break
		}
	}
	return files
}

// over says whether the group uses more than usage, and its page cache takes more
// than cache.
func (g *group) over(usage, cache int64) bool {
	if number(g.usage) <= usage {
		return false
	}
	b, err := os.ReadFile(g.stat)
	if err != nil {
		return false
	}
	for line := range bytes.Lines(b) {
		if v, ok := strings.CutPrefix(string(line), g.cache+" "); ok {
			return parse(v) > cache
		}
	}
	return false
}

// byAge returns the files in dir and below, the oldest first. Some may be gone by
// now.
func byAge(dir string) []string {
	type file struct {
		path    string
		changed time.Time
	}
	var all []file
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		if st, err := d.Info(); err == nil {
			all = append(all, file{path, st.ModTime()})
		}
		return nil
	})
	slices.SortFunc(all, func(a, b file) int { return a.changed.Compare(b.changed) })
	names := make([]string, len(all))
	for i := range all {
		names[i] = all[i].path
	}
	return names
}

// number reads a file that holds one number. It is 0 if there is none.
func number(name string) int64 {
	b, err := os.ReadFile(name)
	if err != nil {
		return 0
	}
	return parse(string(b))
}

// parse is 0 for what is no number, such as "max".
func parse(s string) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
