package wholefile

import (
	"fmt"
	"io"
	"os"
)

// tokenBytes is the most bytes of a file that holds a token.
const TokenBytes = 64 << 10

// readSmall reads a file of at most so many bytes. It may be a FIFO, for which
// it waits.
func Read(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("%s has more than %d bytes", path, most)
	}
	return data, err
}
