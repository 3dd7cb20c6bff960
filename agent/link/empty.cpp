// agent/link
