"""Encodings of coordinates: the multiresolution hash grid and, later, its fast backends."""
