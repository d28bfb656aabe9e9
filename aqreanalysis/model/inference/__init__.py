"""How a trained network is swept over many places: shared kriging systems, patches, members."""
