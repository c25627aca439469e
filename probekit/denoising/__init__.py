"""One contract for every network: ``forward(y, sigma)`` gives the clean estimate."""
