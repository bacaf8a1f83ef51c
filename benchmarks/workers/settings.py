"""What both sides of a pair must agree on, and each reads here.

Legend: B batch, N images in memory, or examples of each of two sets; F features.
"""

__all__ = [
    "BOUND_IMAGES",
    "BOUND_PART",
    "BOUND_SAMPLES",
    "COMPONENTS",
    "DRAWN",
    "EXAMPLES",
    "FEATURES",
    "GAN_BATCH",
    "GAN_LR",
    "IMAGES",
    "LATENT_CONV",
    "LATENT_GAN",
    "LATENT_MLP",
    "NEIGHBOURS",
    "SAMPLES",
    "SUBSET",
    "SUBSETS",
    "VAE_BATCH",
    "VAE_LR",
    "WIDTH",
]

IMAGES = 10_000  # N of 28×28
VAE_BATCH, VAE_LR = 100, 5e-4  # as pythae's examples for MNIST
LATENT_MLP, LATENT_CONV = 40, 16  # D
COMPONENTS, SAMPLES = 500, 50  # of VampPrior (Tomczak and Welling 2018), of IWAE (Burda et al. 2016)
BOUND_SAMPLES, BOUND_IMAGES = 5000, 64  # k as in published tables; images a step, as our judge takes them
BOUND_PART = 2  # images of a step that pythae is given
DRAWN = 16  # images that a PixelCNN draws at once
GAN_BATCH, GAN_LR, LATENT_GAN, WIDTH = 128, 2e-4, 100, 64  # as PyTorch's DCGAN tutorial
EXAMPLES, FEATURES = 10_000, 2048  # N, and F as Inception has them, of two sets to be compared
SUBSETS, SUBSET, NEIGHBOURS = 100, 1000, 5  # of the kernel distance as published; k of precision and coverage
