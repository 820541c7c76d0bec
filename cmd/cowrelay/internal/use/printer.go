package use

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"text/template"

	"cowrelay/cmd/cowrelay/internal/command"
	"cowrelay/cmd/cowrelay/internal/term"
	relayclient "cowrelay/fasthttp/client"

	"github.com/spf13/cobra"
)

// templateHelp is the part of a command's help about --template.
const templateHelp = `--template prints a text in place of the JSON, with a line end behind it. It is a
template of Go's text/template. {{.text}} is a member of the event, {{.body.text}} one
further down. {{json .body}} prints a value as JSON, {{event}} the event as it was
posted, {{id}} its event_id and {{position}} its position. If the template can't be
used on an event, that is reported, and the exit status is 1 in the end.`

// printer prints events, one a line, as they are or by a template. It belongs to one
// goroutine.
type printer struct {
	text     string // of --template
	template *template.Template
	out      *bufio.Writer
	stderr   io.Writer
	name     string // of the command, for stderr

	event  relayclient.Event // that is being printed: functions of the template read it
	buf    bytes.Buffer
	failed int // events that the template can't be used on
}

// addFlags adds the flag.
func (p *printer) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.text, "template", "", "print each event by this template, such as '{{.from}}: {{.text}}'")
	command.NoFiles(cmd, "template")
}

// open reads the template and prepares the output.
func (p *printer) open(cmd *cobra.Command, size int) error {
	p.out, p.stderr, p.name = bufio.NewWriterSize(cmd.OutOrStdout(), size), cmd.ErrOrStderr(), cmd.CommandPath()
	if !cmd.Flags().Changed("template") {
		return nil
	}
	t, err := template.New("template").Funcs(template.FuncMap{
		"json": func(v any) (string, error) {
			var b bytes.Buffer
			enc := json.NewEncoder(&b)
			enc.SetEscapeHTML(false)
			err := enc.Encode(v)
			return string(bytes.TrimSuffix(b.Bytes(), []byte{'\n'})), err
		},
		"event":    func() string { return string(p.event.JSON) },
		"id":       func() string { return p.event.ID },
		"position": func() string { return positionText(p.event) },
	}).Parse(p.text)
	if err != nil {
		return command.Usage(fmt.Errorf("--template: %w", err))
	}
	p.template = t
	return nil
}

// print prints one event. Its error is that of the output.
func (p *printer) print(e relayclient.Event) error {
	if p.template == nil {
		p.out.Write(e.JSON)
		return p.out.WriteByte('\n') // a write that failed stays failed
	}
	p.event = e
	p.buf.Reset()
	v, err := templateValue(e.JSON)
	if err == nil {
		err = p.template.Execute(&p.buf, v)
	}
	if err != nil {
		p.failed++
		fmt.Fprintf(p.stderr, "%s: %s: %s\n", p.name, eventName(e), term.Shown(err.Error()))
		return nil
	}
	p.out.Write(p.buf.Bytes())
	return p.out.WriteByte('\n')
}

// finish says whether the template could be used on all events.
func (p *printer) finish() error {
	if p.failed > 0 {
		return fmt.Errorf("the template could not be used on %d events", p.failed)
	}
	return nil
}

// templateValue is an event as a template sees it. Numbers can be compared, and print as
// they are as far as Go's numbers hold them.
func templateValue(event []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(event))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	return withNumbers(v), nil
}

func withNumbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name := range v {
			v[name] = withNumbers(v[name])
		}
	case []any:
		for i := range v {
			v[i] = withNumbers(v[i])
		}
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		if _, err := strconv.ParseUint(string(v), 10, 64); err == nil {
			return v // a float64 would not hold all its digits
		}
		if n, err := v.Float64(); err == nil {
			return n
		}
	}
	return v
}

// positionText is an event's position, or "" if the relay has none.
func positionText(e relayclient.Event) string {
	if behind, known := e.Cursor.Position(); known && behind > 0 {
		return strconv.FormatUint(behind-1, 10)
	}
	return ""
}

// eventName names an event in messages.
func eventName(e relayclient.Event) string {
	text := "an event"
	if pos := positionText(e); pos != "" {
		text = "the event at position " + pos
	}
	if e.ID != "" {
		text += fmt.Sprintf(", event_id %q", e.ID)
	}
	return text
}

// outputError is the error of an output that can't be written to. Ctrl-C ends a tail
// well, but such an error stays one.
type outputError struct{ error }

func (e outputError) Unwrap() error { return e.error }

// errEnough ends a tail that has what it was asked for.
var errEnough = errors.New("enough")
