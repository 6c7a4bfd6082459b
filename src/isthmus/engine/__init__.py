"""The engines that carry traffic and routes: supervised processes that are started, adopted and talked to."""
