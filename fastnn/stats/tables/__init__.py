"""Results as text, HTML, LaTeX and pandas tables."""
