"""Linear algebra of tall matrices: blocks of rows, triangles, solutions, bases."""
