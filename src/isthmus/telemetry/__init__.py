"""What requests did: from Envoy's access log to roll-ups, batches, the store and questions to it."""
