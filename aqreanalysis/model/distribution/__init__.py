"""Predictive distributions, of an hour and of a mean over a period."""
