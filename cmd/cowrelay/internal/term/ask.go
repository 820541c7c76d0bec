package term

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
)

// Yes asks a question on stderr and says whether the next line of in is y or yes.
// It is an error if ctx ends before there is an answer.
func Yes(ctx context.Context, in io.Reader, stderr io.Writer, question string) (bool, error) {
	fmt.Fprintf(stderr, "%s [y/N] ", question)
	answer := make(chan string, 1)
	// If nobody answers it ends with the process: a read of a terminal can't be
	// called off.
	go func() {
		line, _ := bufio.NewReader(in).ReadString('\n')
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case a := <-answer:
		return a == "y" || a == "yes", nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}
