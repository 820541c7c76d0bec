package engine

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/time/rate"
)

// SendOptions of Checkpoint.Send. The zero value sends all files, as fast as it can.
type SendOptions struct {
	// Have are tables that the receiver has. Where name, length and checksum are those
	// of a table of the copy, the archive holds a hard link in the place of its bytes.
	Have []File
	// Rate is how many bytes a second are read of the disk at most. 0: no limit.
	Rate int64
	// LeftOut is told how many bytes were passed over since it was last called, as the
	// receiver has them or to learn whether it has. An error ends Send. Default none.
	LeftOut func(bytes int64) error
}

// sendBytes are read, summed and written at once.
const sendBytes = 128 << 10

// WriteTo writes a tar archive of all files, with the manifest behind them. Restore
// reads it.
func (k *Checkpoint) WriteTo(w io.Writer) (int64, error) {
	return k.Send(context.Background(), w, SendOptions{})
}

// Send writes a tar archive of all files that the receiver lacks, with the manifest
// behind them. Receive reads it. ctx ends it between two pieces.
func (k *Checkpoint) Send(ctx context.Context, w io.Writer, o SendOptions) (int64, error) {
	count := &counted{w: w}
	s := &sending{Checkpoint: k, SendOptions: o, ctx: ctx, archive: tar.NewWriter(count), have: make(map[string]File, len(o.Have)), buf: make([]byte, sendBytes)}
	for _, f := range o.Have {
		s.have[f.Name] = f
	}
	if o.Rate > 0 {
		s.pace = rate.NewLimiter(rate.Limit(o.Rate), sendBytes)
	}
	sums := make(map[string]File, len(k.manifest.Files))
	for i := range k.manifest.Files {
		f := &k.manifest.Files[i]
		if err := s.file(f); err != nil {
			return count.n, err
		}
		if IsTable(f.Name) {
			sums[f.Name] = *f
		}
	}
	k.of.sums = sums
	text, err := json.Marshal(k.manifest)
	if err != nil {
		return count.n, err
	}
	if err := s.archive.WriteHeader(k.manifest.header(manifestName, int64(len(text)))); err != nil {
		return count.n, err
	}
	if _, err := s.archive.Write(text); err != nil {
		return count.n, err
	}
	return count.n, s.archive.Close()
}

// sending is one run of Send.
type sending struct {
	*Checkpoint
	SendOptions
	ctx     context.Context
	archive *tar.Writer
	have    map[string]File
	pace    *rate.Limiter // nil: none
	buf     []byte
}

// IsTable says whether a file of a store is never written again once it is there.
func IsTable(name string) bool {
	return strings.HasSuffix(name, ".sst") || strings.HasSuffix(name, ".blob")
}

func (m *Manifest) header(name string, size int64) *tar.Header {
	return &tar.Header{Name: name, Size: size, Mode: 0o600, ModTime: m.Created, Typeflag: tar.TypeReg, Format: tar.FormatPAX}
}

// file sends one file, or says that the receiver has it. It fills in the checksum.
func (s *sending) file(f *File) error {
	if had, ok := s.have[f.Name]; ok && IsTable(f.Name) && had.Size == f.Size {
		known, ok := s.of.sums[f.Name]
		if !ok || known.Size != f.Size {
			sum, err := s.copy(f, io.Discard)
			if err != nil {
				return err
			}
			known = File{f.Name, f.Size, sum}
		} else if s.LeftOut != nil {
			if err := s.LeftOut(f.Size); err != nil {
				return err
			}
		}
		if known == had {
			*f = known
			h := s.manifest.header(f.Name, 0)
			h.Typeflag, h.Linkname = tar.TypeLink, f.Name
			return s.archive.WriteHeader(h)
		}
	}
	if err := s.archive.WriteHeader(s.manifest.header(f.Name, f.Size)); err != nil {
		return err
	}
	sum, err := s.copy(f, s.archive)
	f.SHA256 = sum
	return err
}

// copy reads a file, writes it to w, and returns its checksum.
func (s *sending) copy(f *File, w io.Writer) (string, error) {
	file, err := s.of.fs.Open(s.of.fs.PathJoin(s.of.folder(), f.Name), vfs.SequentialReadsOption)
	if err != nil {
		return "", err
	}
	defer file.Close()
	sum := sha256.New()
	for left := f.Size; left > 0; {
		piece := s.buf[:min(left, sendBytes)]
		if s.pace != nil {
			err = s.pace.WaitN(s.ctx, len(piece))
		} else {
			err = s.ctx.Err()
		}
		if err != nil {
			return "", err
		}
		if _, err := io.ReadFull(file, piece); err != nil {
			return "", fmt.Errorf("the file %s of the copy: %w", f.Name, err)
		}
		sum.Write(piece)
		if _, err := w.Write(piece); err != nil {
			return "", err
		}
		left -= int64(len(piece))
		if w == io.Discard && s.LeftOut != nil {
			if err := s.LeftOut(int64(len(piece))); err != nil {
				return "", err
			}
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// counted counts what is written.
type counted struct {
	w io.Writer
	n int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
