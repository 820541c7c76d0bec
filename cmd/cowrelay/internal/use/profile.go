package use

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"cowrelay/cmd/cowrelay/internal/command"
	"cowrelay/cmd/cowrelay/internal/wholefile"

	"github.com/spf13/pflag"
)

// profile is a slot that was saved under a name, with the token that opens it. The
// owner's token lies in a profile of its own, NAME.owner: so the commands of every
// day have no token that can remove the slot.
type profile struct {
	Relay string `json:"relay"`
	Slot  string `json:"slot_id"`
	Token string `json:"slot_token,omitempty"`
	Owner string `json:"owner_token,omitempty"` // in NAME.owner, where Token is empty

	name, path string
}

// ownerSuffix ends the name of a profile that holds the owner's token of another.
const ownerSuffix = ".owner"

// owner returns the profile for the owner's token. It may be there or not.
func (p *profile) owner() *profile {
	return &profile{name: p.name + ownerSuffix, path: strings.TrimSuffix(p.path, ".json") + ownerSuffix + ".json"}
}

// token returns the token that the profile holds.
func (p *profile) token() string {
	if p.Token == "" {
		return p.Owner
	}
	return p.Token
}

const (
	defaultProfile  = "default"
	profileVariable = command.ProfileVariable
	profileDirVar   = command.ProfileDirVariable
)

var profileName = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$`)

// profileFolder is where profiles lie.
func profileFolder(f *pflag.FlagSet) (string, error) {
	if dir, _ := command.FlagOr(f, "profile-dir", profileDirVar, ""); dir != "" {
		return dir, nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("cannot tell where profiles lie (give --profile-dir): %w", err)
	}
	return filepath.Join(dir, "cowrelay"), nil
}

// newProfile returns the profile of a name, which may be there or not. It is empty.
func newProfile(f *pflag.FlagSet, name string) (*profile, error) {
	if !profileName.MatchString(name) {
		return nil, command.Usage(fmt.Errorf("%q is no name of a profile: letters, digits and . _ -, at most 64", name))
	}
	dir, err := profileFolder(f)
	if err != nil {
		return nil, err
	}
	return &profile{name: name, path: filepath.Join(dir, name+".json")}, nil
}

// trust refuses a profile that others can read, because they have its token, or that
// they may have put there, because commands would then speak to their relay.
func (p *profile) trust(file fs.FileInfo) error {
	if !file.Mode().IsRegular() {
		return fmt.Errorf("profile %q is no regular file: %s", p.name, p.path)
	}
	if mode := file.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("profile %q holds a token, and others can read it (mode %04o): chmod 600 %s", p.name, mode, p.path)
	}
	if err := ours(p.path, file); err != nil {
		return fmt.Errorf("profile %q: %w", p.name, err)
	}
	return p.trustFolder()
}

// trustFolder refuses a folder in which others may put profiles.
func (p *profile) trustFolder() error {
	dir := filepath.Dir(p.path)
	info, err := os.Stat(dir)
	if err == nil {
		err = ours(dir, info)
	}
	if err == nil && info.Mode()&0o022 != 0 && info.Mode()&fs.ModeSticky == 0 {
		err = fmt.Errorf("others can write to %s (mode %04o): chmod go-w %s", dir, info.Mode().Perm(), dir)
	}
	if err != nil {
		return fmt.Errorf("profile %q: %w", p.name, err)
	}
	return nil
}

// ours refuses a file or folder that belongs to anybody but this user and root.
func ours(path string, info fs.FileInfo) error {
	if by := wholefile.Owner(info); by != os.Geteuid() && by != 0 {
		return fmt.Errorf("%s belongs to another user (%d)", path, by)
	}
	return nil
}

// reserve makes the profile's file, empty, so that a name that is taken or a
// folder that can't be written to is found before there is a slot.
func (p *profile) reserve() error {
	if err := wholefile.MakeFolder(filepath.Dir(p.path), 0o700); err != nil {
		return fmt.Errorf("cannot save profile %q: %w", p.name, err)
	}
	if err := p.trustFolder(); err != nil {
		return err
	}
	file, err := os.OpenFile(p.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("profile %q exists, and its token is nowhere else: choose another name, or remove it: cowrelay slot rm --profile %s", p.name, p.name)
	}
	if err != nil {
		return fmt.Errorf("cannot save profile %q: %w", p.name, err)
	}
	return file.Close()
}

// save fills the file that reserve made: whole, or not at all.
func (p *profile) save() error {
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	if err := wholefile.Write(p.path, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("cannot save profile %q: %w", p.name, err)
	}
	return nil
}

// remove takes the file away, full or only reserved.
func (p *profile) remove() error { return os.Remove(p.path) }
