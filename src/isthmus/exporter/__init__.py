"""The way of telemetry out to receivers by OTLP and HTTP: senders, and a process's own metrics and log."""
