"""Matrices and rectangles: small float64 tensor arithmetic, one 3x3 matrix for each sample."""
