package bench
func saturationScenarios(cfg *Config) []scenario { return nil }
