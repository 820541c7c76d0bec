package run

// A Progress shows how far a run is.
type Progress interface {
	// Show shows how much of what is done, 0 to 1, and at which step it is.
	Show(what string, part float64, step string)
	// Clear makes room for a line of output.
	Clear()
}
