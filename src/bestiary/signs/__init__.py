"""Signs: symptoms of the known illnesses of generative models, read from named numbers, each with its remedy."""
