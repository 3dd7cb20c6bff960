// server/native
