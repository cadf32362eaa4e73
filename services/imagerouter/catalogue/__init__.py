"""The model catalogue: what exists, what it can do, what it costs. Data with dates and sources, and pure functions."""

from imagerouter.catalogue.catalogue import Catalogue, CatalogueError, load_catalogue
from imagerouter.catalogue.model import Evidence, Latency, Limits, Mode, Model, Prices, Quality, RetiredModel, Status
from imagerouter.catalogue.sizing import FixedSizes, FreeSize, RatioTierSize

__all__ = [
    "Catalogue",
    "CatalogueError",
    "Evidence",
    "FixedSizes",
    "FreeSize",
    "Latency",
    "Limits",
    "Mode",
    "Model",
    "Prices",
    "Quality",
    "RatioTierSize",
    "RetiredModel",
    "Status",
    "load_catalogue",
]
