"""The demo: starts processes and asks the API, as a person would. Knows no inner part of Isthmus."""
