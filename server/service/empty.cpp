// server/service
