// Carries the shared precompiled header; has no code.
