"""On what a point is carried out."""
