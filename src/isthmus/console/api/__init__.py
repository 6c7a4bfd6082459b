"""The API: HTTPS with bearer tokens, OpenAPI 3.1 at /openapi.json. One file per group of paths."""
