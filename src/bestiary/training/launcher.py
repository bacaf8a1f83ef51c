"""torchrun with quiet ends: on Ctrl-C the processes save, and what is left is their own word, not torchrun's traceback.

    python -m bestiary.training.launcher --standalone --nproc-per-node=2 -m bestiary fit …

torchrun starts each process in a session of its own, passes Ctrl-C and SIGTERM on to it, and waits until it has ended.
"""

import os
import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Run torchrun; the exit status is that of a process that failed, or 128 + the signal that ended all of them."""
    # Without this the restart after a worker's crash hangs (pytorch #135712).
    os.environ.setdefault("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")
    os.environ.setdefault("LOGLEVEL", "ERROR")  # of torchrun, which else reports every signal that it passes on
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    try:
        run(parse_args(list(arguments)))
    except SignalException as error:
        return 128 + int(error.sigval)
    except ChildFailedError as error:
        return abs(error.get_first_failure()[1].exitcode)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
