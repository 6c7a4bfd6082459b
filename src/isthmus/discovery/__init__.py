"""Service discovery: what a site asks service registries for, what they answer, and what it publishes to them.

`found`, `query`, `record` and `setting` are values that the core knows too. `source` and `publisher` are the two
interfaces that every method (DNS, Kubernetes, Consul) implements; whoever runs them keeps the last good answers.
"""
