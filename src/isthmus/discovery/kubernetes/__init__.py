"""Kubernetes as a service registry: its Services are discovered, virtual hosts become headless Services."""
