// agent/launch
