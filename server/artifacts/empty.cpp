// server/artifacts
