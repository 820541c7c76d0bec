package offline

import (
	"bufio"
	"errors"
	"io"
)

// maxImportLine is the longest line that is read. The largest event has far less.
const maxImportLine = 4 << 20

// importLine is a line of a source file.
type importLine struct {
	text   []byte // without its end; good until the next line is read
	number int    // from 1
	offset int64  // of its first byte in the file
	size   int64  // with its end
	torn   bool   // the file ends within it
	long   bool   // text is only its begin
}

// importLines reads a file line by line. No line can take more memory than
// maxImportLine.
type importLines struct {
	in   *bufio.Reader
	line importLine
	long []byte // reused for lines longer than in's memory
}

func newImportLines(in io.Reader) *importLines {
	return &importLines{in: bufio.NewReaderSize(in, 256<<10)}
}

// reset begins another file.
func (l *importLines) reset(in io.Reader) {
	l.in.Reset(in)
	l.line = importLine{}
}

// next returns the next line, or io.EOF behind the last one.
func (l *importLines) next() (*importLine, error) {
	n := &l.line
	*n = importLine{number: n.number + 1, offset: n.offset + n.size}
	text, err := l.in.ReadSlice('\n')
	n.size = int64(len(text))
	if errors.Is(err, bufio.ErrBufferFull) {
		l.long = append(l.long[:0], text...)
		for errors.Is(err, bufio.ErrBufferFull) {
			text, err = l.in.ReadSlice('\n')
			n.size += int64(len(text))
			if room := maxImportLine - len(l.long); len(text) > room {
				n.long = true
				text = text[:room]
			}
			l.long = append(l.long, text...)
		}
		text = l.long
	}
	switch {
	case err == io.EOF && n.size == 0:
		return nil, io.EOF
	case err == io.EOF:
		n.torn = true
	case err != nil:
		return nil, err
	case !n.long:
		text = text[:len(text)-1]
	}
	n.text = text
	return n, nil
}

// eachLine calls f with each line of a file of the source, if the file is there.
func (i *importing) eachLine(name string, kind importKind, f func(path string, l *importLine) error) error {
	file, ok := i.src.top[name]
	if !ok {
		return nil
	}
	in, err := i.src.open(file)
	if err != nil {
		return err
	}
	defer in.Close()
	for lines := newImportLines(in); ; {
		l, err := lines.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			i.told.skip(kind, place{file: file.path}, "the file can't be read to its end", err.Error())
			return nil
		}
		if err := errors.Join(i.passed(l.size), f(file.path, l)); err != nil {
			return err
		}
	}
}
