"""Losses as functions: tensors in, one number out. They know no patient, no lead, no file."""
