package offline

import (
	"bytes"
	"io"

	"cowrelay/fasthttp/stats"
)

// history takes the rows of the last days.
func (i *importing) history() error {
	f, ok := i.src.top[fileHistory]
	if !ok {
		return nil
	}
	in, err := i.src.open(f)
	if err != nil {
		return err
	}
	defer in.Close()
	merge := stats.NewMerge(i.now)
	for lines := newImportLines(in); ; {
		l, err := lines.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			i.told.skip(kindRow, place{file: f.path}, "the file can't be read to its end", err.Error())
			break
		}
		if err := i.passed(l.size); err != nil {
			return err
		}
		text := bytes.TrimSpace(l.text)
		if len(text) == 0 {
			continue
		}
		if err := merge.Add(text); err == stats.ErrOldRow {
			i.told.skip(kindRow, place{f.path, l.number}, err.Error(), "")
		} else if err != nil {
			if err := i.told.leave(kindRow, f.path, l, err.Error(), ""); err != nil {
				return err
			}
		}
	}
	put := i.to.replace
	if i.to.log == nil {
		put = nil
	}
	added, there, err := merge.Save(i.to.value, put)
	i.told.taken[kindRow] += added
	i.told.there[kindRow] += there
	return err
}
