"""Whether a rule's conditions hold for a task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from imagerouter.api.common.v1 import task_pb2
from imagerouter.router.policy import Condition, Rule

_MODES = {"generate": task_pb2.MODE_GENERATE, "edit": task_pb2.MODE_EDIT}
_PREFERENCES = {
    "cost": task_pb2.PREFERENCE_COST,
    "latency": task_pb2.PREFERENCE_LATENCY,
    "quality": task_pb2.PREFERENCE_QUALITY,
}


@dataclass(frozen=True)
class Facts:
    """What conditions look at: the task, how many outputs are wanted, and the chain's depth (0 on a reset)."""

    task: task_pb2.Task
    count: int
    depth: int


def matching(rules: Sequence[Rule], facts: Facts) -> list[Rule]:
    """List the rules that apply, in the policy's order."""
    return [rule for rule in rules if any(holds(condition, facts) for condition in rule.when)]


def holds(condition: Condition, facts: Facts) -> bool:
    """Say whether every fact that the condition names is so."""
    task, features = facts.task, facts.task.features
    return all(
        (
            condition.mode is None or task.mode == _MODES[condition.mode],
            condition.edit_actions is None or _edit_action(task) in condition.edit_actions,
            condition.content_class is None or _content_class(task) == condition.content_class,
            _same(condition.has_references, features.has_references or bool(task.references)),
            condition.min_references is None or len(task.references) >= condition.min_references,
            _same(condition.preserve_subject, features.preserve_subject),
            _same(condition.same_character, features.same_character),
            _same(condition.text_heavy, features.text_heavy),
            _same(condition.renders_text, bool(task.render_strings)),
            condition.text_deliverables is None or _is_deliverable(features, condition.text_deliverables),
            _same(condition.vague, features.vague),
            _same(condition.bulk, features.bulk),
            condition.preference is None or task.constraints.preference == _PREFERENCES[condition.preference],
            condition.languages is None or bool(set(task.languages) & set(condition.languages)),
            condition.max_prompt_words is None or features.prompt_words <= condition.max_prompt_words,
            condition.min_count is None or facts.count >= condition.min_count,
            condition.min_depth is None or facts.depth >= condition.min_depth,
        )
    )


def _same(wanted: bool | None, found: bool) -> bool:
    return wanted is None or wanted == found


def _edit_action(task: task_pb2.Task) -> str:
    return task_pb2.EditAction.Name(task.edit_action).removeprefix("EDIT_ACTION_").lower()


def _content_class(task: task_pb2.Task) -> str:
    return task_pb2.ContentClass.Name(task.content_class).removeprefix("CONTENT_CLASS_").lower()


def _is_deliverable(features: task_pb2.Features, wanted: Sequence[str]) -> bool:
    return bool(features.text_deliverable) and ("*" in wanted or features.text_deliverable in wanted)
