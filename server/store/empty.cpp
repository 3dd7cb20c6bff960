// server/store
