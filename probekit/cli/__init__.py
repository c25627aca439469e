"""The commands that look into denoisers and train them; `probekit` puts them together with the analyses."""
