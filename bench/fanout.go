package bench
func fanoutScenarios(cfg *Config) []scenario { return nil }
