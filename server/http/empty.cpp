// server/http
