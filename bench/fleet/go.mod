module cowrelay/bench/fleet

go 1.26.0

require (
	cowrelay v0.0.0
	github.com/anishathalye/porcupine v1.3.1
)

require github.com/HdrHistogram/hdrhistogram-go v1.4.0 // indirect

replace cowrelay => ../..
