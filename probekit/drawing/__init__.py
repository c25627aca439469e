"""A network as a picture: one forward pass watched, its blocks chosen, and drawn with what flows between them."""
