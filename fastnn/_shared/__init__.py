"""What any room of the package may use: arrays, numbers, text, figures, warnings."""
