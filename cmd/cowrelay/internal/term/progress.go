package term

import (
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// isTerminal says whether a person may be looking at w.
func IsTerminal(w io.Writer) bool {
	f := FileOf(w)
	return f != nil && term.IsTerminal(int(f.Fd()))
}

// newProgress returns a bar on stderr that counts up to total units (-1: nobody
// knows how many); "bytes" are shown as MB. Where stderr is no terminal it shows
// nothing. It may be used from several goroutines; endProgress takes it away.
func NewBar(stderr io.Writer, total int64, doing, unit string) *progressbar.ProgressBar {
	counts := progressbar.OptionShowBytes(true)
	if unit != "bytes" {
		counts = func(p *progressbar.ProgressBar) {
			progressbar.OptionShowCount()(p)
			progressbar.OptionShowIts()(p)
			progressbar.OptionSetItsString(unit)(p)
		}
	}
	return progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(stderr),
		progressbar.OptionSetVisibility(IsTerminal(stderr)),
		progressbar.OptionSetDescription(doing),
		counts,
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionFullWidth(),
	)
}

// endProgress takes a bar away, wherever it stands.
func EndBar(bar *progressbar.ProgressBar) {
	bar.Exit()
	bar.Clear()
}
