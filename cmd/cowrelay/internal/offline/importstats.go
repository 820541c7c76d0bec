package offline

import (
	"bytes"

	"cowrelay/fasthttp/stats"
)

// history takes the rows of the last days.
func (i *importing) history() error {
	merge := stats.NewMerge(i.now)
	err := i.eachLine(fileHistory, kindRow, func(path string, l *importLine) error {
		text := bytes.TrimSpace(l.text)
		if len(text) == 0 {
			return nil
		}
		err := merge.Add(text)
		if err == stats.ErrOldRow {
			i.told.skip(kindRow, place{path, l.number}, err.Error(), "")
			return nil
		}
		if err != nil {
			return i.told.leave(kindRow, path, l, err.Error(), "")
		}
		return nil
	})
	if err != nil {
		return err
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
