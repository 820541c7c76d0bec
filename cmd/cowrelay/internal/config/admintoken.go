package config

import (
	"errors"
	"os"
	"strings"

	"cowrelay/cmd/cowrelay/internal/command"
	"cowrelay/cmd/cowrelay/internal/wholefile"
)

// AdminTokenVariable holds the admin token itself, for machines that hand out
// secrets as environment variables. There is no such flag: others can read command
// lines.
const AdminTokenVariable = command.AdminTokenVariable

// ReadAdminToken returns the token of the file, or of the environment if path is
// "". A token of "" is none.
func ReadAdminToken(path string) (string, error) {
	token := os.Getenv(AdminTokenVariable)
	if path != "" {
		data, err := wholefile.Read(path, wholefile.TokenBytes)
		if err != nil {
			return "", err
		}
		if token = strings.TrimSpace(string(data)); token == "" {
			return "", errors.New("the file is empty")
		}
	}
	if token == "" {
		return "", nil
	}
	if len(token) < 16 {
		return "", errors.New("the admin token is shorter than 16 characters")
	}
	for _, c := range []byte(token) {
		if c <= ' ' || c > '~' {
			return "", errors.New("the admin token holds what is no printable ASCII character")
		}
	}
	return token, nil
}
