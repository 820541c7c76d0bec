package use

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"cowrelay/cmd/cowrelay/internal/command"
	relayclient "cowrelay/fasthttp/client"

	"github.com/spf13/pflag"
)

// reserveProfile makes the files for a new slot's two tokens, empty.
func reserveProfile(f *pflag.FlagSet, name string) (*profile, error) {
	p, err := newProfile(f, name)
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(name, ownerSuffix) {
		return nil, command.Usage(fmt.Errorf("%q is a name for an owner's token: choose one that does not end in %s", name, ownerSuffix))
	}
	if err := p.reserve(); err != nil {
		return nil, err
	}
	if err := p.owner().reserve(); err != nil {
		p.remove()
		return nil, err
	}
	return p, nil
}

// saveSlot fills the files that reserveProfile made. A relay without owners leaves
// the second away.
func (p *profile) saveSlot(s *relayclient.Slot) error {
	p.Relay, p.Slot, p.Token = strings.TrimRight(s.Relay(), "/"), s.ID, s.Token
	o := p.owner()
	if s.Owner == "" {
		return errors.Join(p.save(), o.remove())
	}
	o.Relay, o.Slot, o.Owner = p.Relay, p.Slot, s.Owner
	if err := o.save(); err != nil {
		return err
	}
	return p.save()
}

// removeBoth takes the files of both tokens away, full or only reserved.
func (p *profile) removeBoth() error {
	names := []*profile{p, p.owner()}
	if base, ok := strings.CutSuffix(p.name, ownerSuffix); ok && p.Token == "" {
		names[1] = &profile{name: base, path: strings.TrimSuffix(p.path, ownerSuffix+".json") + ".json"}
	}
	var all error
	for _, n := range names {
		if err := n.remove(); err != nil && !(n != p && errors.Is(err, fs.ErrNotExist)) {
			all = errors.Join(all, err)
		}
	}
	return all
}
