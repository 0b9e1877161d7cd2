"""Predictions + truth → numbers with intervals. Nothing is estimated from data that cannot give it."""
