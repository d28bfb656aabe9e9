"""Variograms fitted to records, covariances, and the systems of ordinary kriging: arrays in, arrays out."""
