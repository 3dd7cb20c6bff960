// server/core
