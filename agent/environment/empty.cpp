// agent/environment
