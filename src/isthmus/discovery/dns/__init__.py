"""DNS as a service registry: names are resolved, a delegated zone is answered for, a zone elsewhere is updated."""
