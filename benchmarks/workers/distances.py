"""Our side of distances between sets of features.

fid           Fréchet distance by moments, without its interval
kid           kernel distance over all pairs, with its interval
kid-blocks    kernel distance within disjoint blocks
prdc          precision, recall, density and coverage
"""

from protocol import serve
from sets import case
from settings import NEIGHBOURS, SUBSET

from bestiary.measures.frechet import frechet, moments
from bestiary.measures.kernel_distance import block_kids, jackknife, kernel_sums
from bestiary.measures.manifold import prdc

if __name__ == "__main__":
    cases = {
        "fid": case(lambda real, fake: frechet(moments([real]), moments([fake]))),
        "kid": case(lambda real, fake: jackknife(kernel_sums(real, fake))),
        "kid-blocks": case(lambda real, fake: float(block_kids(real, fake, min(SUBSET, len(real) // 5)).mean())),
        "prdc": case(lambda real, fake: prdc(real, fake, NEIGHBOURS)),
    }
    serve(cases, ("torch", "bestiary"))
