"""The Durbin-Watson test: statistic, exact distribution, bounds, zones."""
