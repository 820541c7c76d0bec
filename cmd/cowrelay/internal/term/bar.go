package term

import (
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// NewBar returns a progress bar on stderr. It counts up to total units, -1 if
// nobody knows how many there are; "bytes" are shown as MB. If stderr is no
// terminal the bar shows nothing. It may be used from several goroutines; EndBar
// takes it away.
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

// EndBar takes a bar away, at whatever count it is.
func EndBar(bar *progressbar.ProgressBar) {
	bar.Exit()
	bar.Clear()
}
