"""Tensor parts, in torch: they know no patient, lead or file."""
