"""Known APIs, and traffic as their clients would make it."""
