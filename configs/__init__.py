"""Config models (pydantic), their loader, and the named configs as YAML beside this file."""

from aqreanalysis.configs.loader import list_configs, load_config
from aqreanalysis.configs.models import (
    ColumnsConfig,
    Config,
    ForecastConfig,
    MetadataConfig,
    ModelConfig,
    ProductionConfig,
    SplitConfig,
    TrainingConfig,
    UncertaintyConfig,
    WindowConfig,
)

__all__ = [
    "ColumnsConfig",
    "Config",
    "ForecastConfig",
    "MetadataConfig",
    "ModelConfig",
    "ProductionConfig",
    "SplitConfig",
    "TrainingConfig",
    "UncertaintyConfig",
    "WindowConfig",
    "list_configs",
    "load_config",
]
