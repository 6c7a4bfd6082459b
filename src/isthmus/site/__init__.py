"""The site agent: the local control plane beside one Envoy and one GoBGP."""
