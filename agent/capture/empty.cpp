// agent/capture
