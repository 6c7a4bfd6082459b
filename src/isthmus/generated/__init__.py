"""Messages written by protoc: `make generate`."""
