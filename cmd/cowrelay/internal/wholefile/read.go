package wholefile

import (
	"fmt"
	"io"
	"os"
)

// TokenBytes is the most bytes of a file that holds a token.
const TokenBytes = 64 << 10

// Read reads a file of at most so many bytes. The limit is for a path that names
// the wrong file: it costs an error, not the memory. The file may be a FIFO; Read
// then waits for its writer.
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
