"""Intent to Envoy resources."""
