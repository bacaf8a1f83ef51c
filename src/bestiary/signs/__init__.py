"""Signs: symptoms of known failures of generative models, read from the numbers of a run, each with its remedies."""
