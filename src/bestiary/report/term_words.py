"""Captions of training curves: what each term of the journal is, in a few words.

A key of the journal is `<player>.<term>`, or `validation.<number>` for numbers of examples that are kept from the fit.
Terms are defined in objectives/, models/gan.py and models/vitals.py. A term without an entry here is shown by its name.
"""

__all__ = ["term_words"]

LOSS_TERMS = {
    "total": "what this player minimises",
    "reconstruction": "−log p(x|z), nats",
    "kl": "KL(q(z|x)‖p(z)), nats",
    "moments": "penalty on the moments of codes",
    "real": "mean output of the critic on real examples",
    "fake": "mean output of the critic on samples",
    "gradient": "norm of the gradient",
}
VALIDATION_NUMBERS = {
    "bound": "ELBO, a lower bound on log p(x), nats",
    "kl": "KL(q(z|x)‖p(z)), nats",
    "active": "share of dimensions of z that are used",
    "distortion": "−log p(x|z), nats",
    "swapped": "the same with the code of another example",
    "widened": "what −ELBO would lose with a posterior twice as wide, nats",
    "structure": "variance of images along their main directions: 1 for noise",
    "near": "share of samples close to a real example",
    "covered": "share of real examples that samples reach",
    "reached": "share of the data that samples reach, however blurred",
    "diversity": "spread of samples ÷ spread of real examples",
    "repeats": "share of samples that repeat another one",
    "told_apart": "how often the critic ranks a real example above a sample",
    "known": "how often it ranks a training example above an unseen one",
    "pull": "slope of the generator's loss: 0 gives it nothing to follow",
    "copied": "share of samples that copy training examples, at least",
}


def term_words(player: str, term: str) -> str:
    """What a term is, or nothing where it is not known.

    >>> term_words("critic", "gradient"), term_words("validation", "near"), term_words("critic", "odd")
    ('norm of the gradient', 'share of samples close to a real example', '')
    """
    return (VALIDATION_NUMBERS if player == "validation" else LOSS_TERMS).get(term, "")
