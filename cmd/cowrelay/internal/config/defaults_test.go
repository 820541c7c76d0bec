package config

import (
	"slices"
	"testing"

	"cowrelay/fasthttp/limit"
)

// The default that the help shows is the one that the relay has.
func TestLimits_DefaultIsWhatTheRelayHas(t *testing.T) {
	c := new(Config)
	for _, s := range c.table() {
		switch s.Name {
		case "rate-limits", "client-address-header":
			if err := s.Set(s.Value); err != nil {
				t.Fatal(err)
			}
		}
	}
	if c.RateLimits != limit.DefaultRates() || !slices.Equal(c.ClientHeaders, limit.DefaultHeaders) {
		t.Errorf("%v, %v", c.RateLimits, c.ClientHeaders)
	}
}
