"""Who computes the blocks of a run, chosen here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aqreanalysis.grids import Grid
from aqreanalysis.model import AnalysisPredictor, Predictor
from aqreanalysis.production.execute.schedule import Executor, default_threads
from aqreanalysis.production.options import ProduceOptions
from aqreanalysis.production.plan import Plan
from aqreanalysis.production.plan.timeline import HOURLY
from aqreanalysis.production.sweep import SweepInputs


@contextmanager
def open_executor(inputs: SweepInputs, options: ProduceOptions) -> Iterator[Executor]:
    """Yield the executor that a run's options and device ask for."""
    if options.workers is not None or options.scheduler is not None:
        from aqreanalysis.production.execute.dask_cluster import cluster_client
        from aqreanalysis.production.execute.dask_workers import ClientExecutor

        with cluster_client(options.workers, options.scheduler, options.say) as client:
            yield ClientExecutor(client)
        return
    threads = options.threads or default_threads()
    if is_for_gpu_pipeline(inputs):
        from aqreanalysis.production.execute.gpu_pipeline import PipelineExecutor

        yield PipelineExecutor(threads)
        return
    from aqreanalysis.production.execute.threads import ThreadExecutor

    yield ThreadExecutor(threads)


def start_gpu_warmup(predictor: Predictor, grid: Grid, plan: Plan, options: ProduceOptions) -> None:
    """Begin to make a GPU ready for the sweep of `plan` over `grid`, where its pipeline will sweep; return at once."""
    if not isinstance(predictor, AnalysisPredictor) or predictor.device.type != "cuda":
        return
    here = options.workers is None and options.scheduler is None
    if here and predictor.covariates is None and tuple(options.frequencies) == (HOURLY,):
        from aqreanalysis.production.execute.gpu_pipeline import start_warmup

        start_warmup(predictor, grid, plan)


def is_for_gpu_pipeline(inputs: SweepInputs) -> bool:
    """Tell whether a sweep is for the pipeline: AQ-Net's on a GPU, hours and no means, whose sums the host makes."""
    predictor = inputs.predictor
    on_gpu = isinstance(predictor, AnalysisPredictor) and predictor.device.type == "cuda"
    return on_gpu and inputs.hourly and inputs.means is None
