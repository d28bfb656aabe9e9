"""What worker processes have loaded before they are forked; imported by the process that forks them, and nobody else.

Ctrl-C reaches the whole process group, while the driver waits for the blocks in hand: whoever is forked here ignores it
from its first moment on. The collector of cycles leaves alone what is there by then: it would look through it in each
worker, and so make a copy of it.
"""

import gc
import signal

signal.signal(signal.SIGINT, signal.SIG_IGN)
gc.disable()

import distributed.nanny  # noqa: E402, F401

import aqreanalysis.model.predictor  # noqa: E402
import aqreanalysis.production.execute.dask_workers  # noqa: E402, F401
from aqreanalysis.model.kernels import warm_up  # noqa: E402

warm_up()
gc.freeze()
gc.enable()
