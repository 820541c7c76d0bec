package meet

import (
	"errors"
	"strconv"

	"cowrelay/cow/rendezvous"
)

// Of a page of the directory, in handles.
const (
	defaultPage = 100
	maxPage     = 500
)

// Handles returns a page of the directory. limit is the text of the query, nil if
// there is none.
func Handles(handles *rendezvous.Directory, cursor string, limit, vibe *string) (*rendezvous.Page, error) {
	n := defaultPage
	if limit != nil {
		var err error
		n, err = strconv.Atoi(*limit) // one that an int does not hold becomes the nearest
		if err != nil && !errors.Is(err, strconv.ErrRange) {
			return nil, bad("limit must be a whole number", "")
		}
	}
	return handles.Page(cursor, min(max(n, 1), maxPage), vibe)
}
