"""Config models (pydantic), their loader, and the named configs as YAML beside this file."""

from aqreanalysis.configs.keys import ConfigKey, config_keys
from aqreanalysis.configs.loader import list_configs, load_config
from aqreanalysis.configs.models import (
    DEFAULT_TESTS,
    ColumnsConfig,
    Config,
    CovariatesConfig,
    DriftConfig,
    DriftFieldConfig,
    ForecastConfig,
    MetadataConfig,
    ModelConfig,
    ProductionConfig,
    QualityConfig,
    QualityTest,
    SplitConfig,
    StaticConfig,
    TrainingConfig,
    UncertaintyConfig,
    WeatherTableConfig,
    WindowConfig,
)

__all__ = [
    "DEFAULT_TESTS",
    "ColumnsConfig",
    "Config",
    "ConfigKey",
    "CovariatesConfig",
    "DriftConfig",
    "DriftFieldConfig",
    "ForecastConfig",
    "MetadataConfig",
    "ModelConfig",
    "ProductionConfig",
    "QualityConfig",
    "QualityTest",
    "SplitConfig",
    "StaticConfig",
    "TrainingConfig",
    "UncertaintyConfig",
    "WeatherTableConfig",
    "WindowConfig",
    "config_keys",
    "list_configs",
    "load_config",
]
