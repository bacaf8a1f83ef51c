"""What both sides of a pair must agree on, and each reads here.

Legend: B batch, N images in memory.
"""

__all__ = ["GAN_BATCH", "GAN_LR", "IMAGES", "LATENT_CONV", "LATENT_GAN", "LATENT_MLP", "VAE_BATCH", "VAE_LR", "WIDTH"]

IMAGES = 10_000  # N of 28×28
VAE_BATCH, VAE_LR = 100, 5e-4  # as pythae's examples for MNIST
LATENT_MLP, LATENT_CONV = 40, 16  # D
GAN_BATCH, GAN_LR, LATENT_GAN, WIDTH = 128, 2e-4, 100, 64  # as PyTorch's DCGAN tutorial
