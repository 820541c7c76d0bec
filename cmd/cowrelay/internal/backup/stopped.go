package backup

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"cowrelay/cmd/cowrelay/internal/term"
	"cowrelay/cmd/cowrelay/internal/wholefile"
	"cowrelay/cow/engine"
)

// takeStopped makes a backup of the data folder of a stopped relay. What is in the
// commit log alone goes to the store first, as at a start.
func (b *backup) takeStopped(folder, name string) (m engine.Manifest, err error) {
	dir := b.cmd.Flags().Lookup("data-dir").Value.String()
	if env := os.Getenv("COWRELAY_DATA_DIR"); env != "" && !b.cmd.Flags().Changed("data-dir") {
		dir = env
	}
	info, err := os.Stat(dir)
	if err != nil {
		return m, err
	}
	if by := wholefile.Owner(info); by != os.Geteuid() {
		return m, fmt.Errorf("the data folder %q belongs to user %d: run this as that user, or the relay could not read what is written there", dir, by)
	}
	ctx := b.cmd.Context()
	from, err := engine.OpenStopped(dir, engine.Options{CacheBytes: 8 << 20, Logger: slog.New(slog.DiscardHandler)})
	if errors.Is(err, engine.ErrInUse) {
		return m, fmt.Errorf("%w: a relay runs there: leave out --offline", err)
	}
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	c, err := from.Checkpoint(ctx)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := room(folder, c.Bytes()-size(b.had)); err != nil {
		return m, err
	}
	bar := term.NewBar(b.stderr, c.Bytes(), "backing up", "bytes")
	defer func() { term.EndBar(bar) }()
	out, in := io.Pipe()
	done := make(chan struct{})
	go func() { // ends with the copy, or when the receiver closes the pipe
		have := make([]engine.File, len(b.had))
		for i, h := range b.had {
			have[i] = h.File
		}
		_, err := c.Send(ctx, in, engine.SendOptions{Have: have, Rate: b.pace})
		in.CloseWithError(err)
		close(done)
	}()
	m, err = engine.ReceiveBackup(ctx, folder, out, b.options(func(n int64) { bar.Set64(n) }, &bar))
	out.Close()
	<-done
	b.count(m)
	if err != nil {
		return m, err
	}
	return m, b.into.finish(folder, name)
}

// size is how long tables are together.
func size(had []engine.Had) (n int64) {
	for _, h := range had {
		n += h.Size
	}
	return n
}
