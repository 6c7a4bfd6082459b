"""The console in the browser: pages made on the server, from the API's context. One file per group of pages."""
