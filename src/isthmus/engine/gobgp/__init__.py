"""GoBGP as a supervised process: the speaker of a site, the reflector of a region, and the tunnels between them."""
