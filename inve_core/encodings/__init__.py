"""Encodings of coordinates: the multiresolution hash grid and its fast backends."""
