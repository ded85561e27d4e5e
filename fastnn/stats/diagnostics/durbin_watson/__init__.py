"""The Durbin-Watson test: statistic, exact law, bounds, zones."""
