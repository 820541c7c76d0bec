package offline

import (
	"fmt"
	"log/slog"
	"os"
	"time"

	"cowrelay/cow/engine"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// addDataDir adds the flag that dataDir reads.
func addDataDir(f *pflag.FlagSet) {
	f.String("data-dir", "cowrelay-data", "folder of the store; else COWRELAY_DATA_DIR names it, as for serve")
}

// dataDir is the folder that the flag or the environment names.
func dataDir(cmd *cobra.Command) string {
	f := cmd.Flags().Lookup("data-dir")
	if dir := os.Getenv("COWRELAY_DATA_DIR"); dir != "" && !f.Changed {
		return dir
	}
	return f.Value.String()
}

// readerOptions are for one pass over a store: there is little to cache. Damage
// comes as errors, and a log would only repeat them.
func readerOptions() engine.Options {
	return engine.Options{CacheBytes: 8 << 20, Logger: slog.New(slog.DiscardHandler)}
}

// amount says how many bytes took how long.
func amount(bytes uint64, took time.Duration) string {
	return fmt.Sprintf("%.1f MB in %.1f s (%.0f MB/s)", float64(bytes)/1e6, took.Seconds(), float64(bytes)/1e6/took.Seconds())
}
