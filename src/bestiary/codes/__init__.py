"""Codes: paths through latent space, arithmetic, inversion."""
