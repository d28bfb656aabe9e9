"""What is known before the first byte: readings, periods, blocks, layers, and what the run takes of this machine."""

from typing import TYPE_CHECKING

from aqreanalysis.common.lazy import names_on_demand

if TYPE_CHECKING:
    from aqreanalysis.production.plan.blocks import HOURS_A_DAY, Block, Moment, Plan, hours_between

__all__ = ["HOURS_A_DAY", "Block", "Moment", "Plan", "hours_between"]

# The currency of all rooms of a run; on demand, since opening a cube needs none of it.
__getattr__, __dir__ = names_on_demand(
    __name__, {"blocks": ("HOURS_A_DAY", "Block", "Moment", "Plan", "hours_between")}
)
