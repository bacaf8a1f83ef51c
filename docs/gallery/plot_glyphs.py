r"""
Glyphs: a data set whose factors are known
==========================================

Letters and digits drawn from the fonts that matplotlib ships. Character, family, weight and slant are a full product;
size, position and rotation are uniform numbers. An example is a function of its factors alone, so that what a code says
of a factor, or a sample lacks of one, can be measured.

The lesson: every image has a caption that says its first four factors, and nothing else.
"""

# %%
# One character in all its styles: a row for each family, and weight by slant within it.
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
from common import images

from bestiary.data.glyph_drawing import FAMILIES, SLANTS, WEIGHTS, Glyph, draw
from bestiary.data.glyphs import caption_of
from bestiary.data.load import load

styles = list(product(FAMILIES, WEIGHTS, SLANTS))
one = np.stack([draw(Glyph("g", *style, 25, 0, 0, 0)) for style in styles])
data = load("glyphs", n=3000)
fig, axes = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained", width_ratios=(1, 2))
axes[0].imshow(images(one[..., None], 4), cmap="gray")
axes[0].set(title="one character, 16 styles", xticks=[], yticks=[])
axes[1].imshow(images(data.x[:72], 12), cmap="gray")
axes[1].set(title="all factors vary", xticks=[], yticks=[])

# %%
# Each block of as many examples as there are combinations holds every combination once, so that no style is rarer than
# another, and no factor tells of another:
label, family = data.stored["label"], data.stored["family"]
block = len(data.spec["label"].words) * len(styles)
counts = np.bincount(label[:block] * len(FAMILIES) + family[:block])
print(f"{block} combinations; each character stands in each family {counts.min()} to {counts.max()} times")

# %%
# Captions, and the whole of them for the character above:
for style in styles[::5]:
    print(caption_of(Glyph("g", *style, 25, 0, 0, 0)))
plt.show()
