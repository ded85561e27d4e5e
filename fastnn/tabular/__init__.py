"""Tables: reading, preprocessing, and networks that are trained on them."""
