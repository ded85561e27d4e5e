"""Linear regression: inputs, fit, covariance, estimates, prediction, text and pictures."""
