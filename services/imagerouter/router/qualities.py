"""From the quality that a task asks for to a model's own settings, in the order in which to try them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from imagerouter.api.common.v1 import task_pb2
from imagerouter.catalogue import Model, Quality
from imagerouter.router.policy import Level

_LEVELS: Mapping[task_pb2.Quality.ValueType, Level] = {
    task_pb2.QUALITY_DRAFT: "draft",
    task_pb2.QUALITY_STANDARD: "standard",
    task_pb2.QUALITY_HIGH: "high",
}


@dataclass(frozen=True)
class Setting:
    """A provider's setting, the level it is taken for, and what that changes of the wish."""

    quality: Quality
    level: Level
    negotiations: tuple[task_pb2.Negotiation, ...]

    @property
    def label(self) -> str:
        """Name level and provider's setting: "draft (low)"."""
        return f"{self.level} ({self.quality.name})" if self.quality.name else self.level


def settings_for(
    model: Model, task: task_pb2.Task, kept: str | None, when_open: tuple[Level, ...]
) -> tuple[Setting, ...]:
    """List the settings to try, first choice first; none if the model serves the asked quality with no setting.

    An asked quality is a hard constraint: its settings and no others. `when_open` is the order where none is asked;
    `kept` is the setting of a former route to be repeated (its name), which comes first where it is still among them.
    """
    asked = _LEVELS.get(task.output.quality)
    found: list[Setting] = []
    for level in (asked,) if asked else when_open:
        for quality in model.qualities:
            if level in quality.levels and all(each.quality is not quality for each in found):
                found.append(Setting(quality, level, _mapped(asked, quality)))
    return tuple(sorted(found, key=lambda setting: setting.quality.name != kept))


def _mapped(asked: Level | None, quality: Quality) -> tuple[task_pb2.Negotiation, ...]:
    if asked is None or quality.name or asked == "standard":
        return ()
    return (
        task_pb2.Negotiation(
            field="output.quality",
            requested=asked,
            applied="the model's only setting",
            kind=task_pb2.NEGOTIATION_KIND_MAPPED,
            reason="the model has no quality setting",
            service="router",
        ),
    )
