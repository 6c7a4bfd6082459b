"""Consul as a service registry: instances of its services are discovered, virtual hosts registered at its agent."""
