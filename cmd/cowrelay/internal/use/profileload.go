package use

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"cowrelay/cmd/cowrelay/internal/command"
	"cowrelay/cmd/cowrelay/internal/wholefile"

	"github.com/spf13/pflag"
)

// loadProfile reads the profile that was asked for, or else the default one. It is
// nil if nobody asked and there is no default. A file that others can read, or may
// have put there, is refused.
func loadProfile(f *pflag.FlagSet) (*profile, error) {
	name, _ := command.FlagOr(f, "profile", profileVariable, "")
	asked := name != ""
	if !asked {
		name = defaultProfile
	}
	p, err := newProfile(f, name)
	if err != nil {
		if !asked {
			return nil, nil // no home, no default
		}
		return nil, err
	}
	err = p.load()
	if errors.Is(err, fs.ErrNotExist) {
		if !asked {
			return nil, nil
		}
		return nil, fmt.Errorf("there is no profile %q: cowrelay slot new --save %s makes one (%w)", name, name, err)
	}
	return p, err
}

// load reads the profile's file.
func (p *profile) load() error {
	// Opened so, a FIFO does not block; trust refuses it.
	file, err := os.OpenFile(p.path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("cannot read profile %q: %w", p.name, err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if err := p.trust(info); err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(file, wholefile.TokenBytes))
	if err != nil {
		return fmt.Errorf("cannot read profile %q: %w", p.name, err)
	}
	if err := json.Unmarshal(text, p); err != nil {
		return fmt.Errorf("profile %q is broken: %s:%d: it is a JSON object of texts, as slot new --save writes it", p.name, p.path, lineOf(text, err))
	}
	if p.Relay == "" || p.Slot == "" || p.token() == "" {
		return fmt.Errorf("profile %q is broken: %s lacks relay, slot_id or slot_token", p.name, p.path)
	}
	return nil
}

// loadOwner returns the owner's token for the profile, and the file that holds it. It
// is empty if there is none.
func (p *profile) loadOwner() (token, from string, err error) {
	if p.Token == "" {
		return p.Owner, p.path, nil
	}
	o := p.owner()
	switch err := o.load(); {
	case errors.Is(err, fs.ErrNotExist):
		return "", "", nil
	case err != nil:
		return "", "", err
	case o.Relay != p.Relay || o.Slot != p.Slot:
		return "", "", fmt.Errorf("profile %q is not about the slot of profile %q", o.name, p.name)
	}
	return o.token(), o.path, nil
}

// lineOf is the line of a text at which it stops being what JSON should be.
func lineOf(text []byte, err error) int {
	at := int64(len(text))
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	if errors.As(err, &syntax) {
		at = syntax.Offset
	} else if errors.As(err, &kind) {
		at = kind.Offset
	}
	return 1 + bytes.Count(bytes.TrimRight(text[:min(at, int64(len(text)))], "\n"), []byte{'\n'})
}
