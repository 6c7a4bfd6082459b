"""What applications offer: the endpoints of their HTTP APIs, learned from the requests that they answer. Pure."""
