"""Every span, attribute, metric and event name, once. `docs/telemetry.md` is generated from this file.

Names of the OpenTelemetry semantic conventions come first, ours are all under `imagerouter.`. RPC names are those of
semantic-conventions after 1.44 (#3921 renamed `rpc.response.status_code`); GenAI names those of
semantic-conventions-genai at 024a4f94, which has no operation for images yet. No value may hold a prompt, a key or an
image: ids, digests, counts and words of ours only.
"""

from __future__ import annotations

from typing import Final

# Scope

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.44.0"
"""The published schema that the conventional names belong to."""

INSTRUMENTATION: Final = "imagerouter"
"""The instrumentation scope of every tracer and meter of ours."""

# Spans

SPAN_NORMALIZE: Final = "imagerouter.normalize"
"""Reading any shape of prompt into one task."""

SPAN_ROUTE_DECIDE: Final = "imagerouter.route.decide"
"""One decision of the router: constraints, rules, preference, ranked routes."""

SPAN_IMAGE: Final = "imagerouter.image"
"""The loop of one image, from its row in the ledger to its end. It may outlive the call that asked for it."""

SPAN_ATTEMPT: Final = "imagerouter.attempt"
"""One authorised provider execution, from `PLANNED` to its recorded outcome. Attempts of an image are siblings."""

SPAN_EVALUATE: Final = "imagerouter.evaluate"
"""Decoding and checking the output of one attempt."""

SPAN_LEDGER: Final = "imagerouter.ledger.commit"
"""One transaction of the ledger."""

SPAN_PROVIDER: Final = "imagerouter.provider.call"
"""The logical call of a provider, CLIENT; named `{gen_ai.operation.name} {gen_ai.request.model}` on the wire."""

SPAN_ARTIFACT_PUT: Final = "imagerouter.artifact.put"
"""Writing bytes to the object store."""

SPAN_ARTIFACT_GET: Final = "imagerouter.artifact.get"
"""Reading bytes from the object store."""

SPAN_RECOVER: Final = "imagerouter.recover"
"""Taking over an image whose owner is gone; linked to the span that the ledger names as its beginning."""

# Attributes of RPCs

RPC_SYSTEM_NAME: Final = "rpc.system.name"
"""Always "grpc"."""

RPC_METHOD: Final = "rpc.method"
"""Fully qualified: "imagerouter.api.router.v1.RouterService/Route"."""

RPC_STATUS_CODE: Final = "rpc.status_code"
"""The status code as a word: "OK", "UNAVAILABLE"."""

ERROR_TYPE: Final = "error.type"
"""What kind of error: the status code of a call ("UNAVAILABLE"), the class of an exception inside a process."""

SERVER_ADDRESS: Final = "server.address"
"""The host of the channel's target; CLIENT spans and metrics only."""

SERVER_PORT: Final = "server.port"
"""The port that goes with `server.address`."""

REASON: Final = "imagerouter.error.reason"
"""The ErrorReason of a call that failed, without its prefix."""

TENANT: Final = "imagerouter.tenant"
"""The tenant's name. On spans and log lines, never on metrics."""

PEER_CLASS: Final = "imagerouter.peer.class"
"""Where a served call came from: "loopback", "private", "public", "unix" or "unknown". Never the address."""

# Attributes of images and tasks

IMAGE_NAME: Final = "imagerouter.image.name"
"""The image's resource name, "images/{id}"."""

IMAGE_STATE: Final = "imagerouter.image.state"
"""The image's state at the end of the span: "SUCCEEDED", "FAILED", "RUNNING"."""

TASK_INTENT: Final = "imagerouter.task.intent"
"""What is wanted, as the normalizer understood it: "GENERATE", "EDIT"."""

TASK_FEATURES: Final = "imagerouter.task.features"
"""The features found in the prompt ("text_heavy", "preserve_subject"), as a list of words of ours."""

CHAIN_DEPTH: Final = "imagerouter.lineage.depth"
"""How many edits since the last reset."""

ESCALATED: Final = "imagerouter.escalated"
"""True from the first escalation on: the collector keeps every trace that has it."""

BUDGET_LEFT_MICROS: Final = "imagerouter.budget.left_micros"
"""Money left for the image, in millionths of a US dollar."""

DEADLINE_LEFT_MS: Final = "imagerouter.deadline.left_ms"
"""Time left for the image, in milliseconds."""

# Attributes of decisions

DECISION_ID: Final = "imagerouter.decision.id"
"""The decision's UUID in the ledger."""

DECISION_STEP: Final = "imagerouter.decision.step"
"""What the loop asked a decision for: "INITIAL", "RETRY", "FALLBACK", "ESCALATION", "RESET", "CONTINUE"."""

DECISION_CANDIDATES: Final = "imagerouter.decision.candidates"
"""The ranked models, best first, as a list of "provider/model"."""

DECISION_P_ACCEPTS: Final = "imagerouter.decision.p_accepts"
"""The candidates' estimated probabilities of acceptance, in their order."""

DECISION_COSTS_MICROS: Final = "imagerouter.decision.costs_micros"
"""The candidates' expected costs in millionths of a US dollar, in their order."""

DECISION_EXCLUSIONS: Final = "imagerouter.decision.exclusions"
"""The models left out, as a list of "model:REASON"."""

DECISION_PROVIDER: Final = "imagerouter.decision.provider"
"""The chosen route's provider."""

DECISION_MODEL: Final = "imagerouter.decision.model"
"""The chosen route's model."""

DECISION_TIER: Final = "imagerouter.decision.tier"
"""The chosen route's position in the cost cascade."""

DECISION_REASON: Final = "imagerouter.decision.reason"
"""The chosen route's deciding reason, in words of the policy."""

DECISION_RULES: Final = "imagerouter.decision.rule_ids"
"""The policy's rules that applied, in order."""

DECISION_CONFIDENCE: Final = "imagerouter.decision.confidence"
"""How sure the policy is that the first route is right, 0 to 1."""

DECISION_PROPENSITY: Final = "imagerouter.decision.propensity"
"""How probable this choice was under the policy; 1 where it is deterministic."""

POLICY_VERSION: Final = "imagerouter.policy.version"
"""The policy that decided."""

CATALOGUE_VERSION: Final = "imagerouter.catalogue.version"
"""The model data that was decided on."""

# Attributes of attempts

ATTEMPT_ID: Final = "imagerouter.attempt.id"
"""The attempt's UUID."""

ATTEMPT_NUMBER: Final = "imagerouter.attempt.number"
"""Counts the attempts of an image from 1."""

ATTEMPT_STEP: Final = "imagerouter.attempt.step"
"""Why it was made, as `imagerouter.decision.step`."""

ATTEMPT_PHASE: Final = "imagerouter.attempt.phase"
"""How far it got: "NOT_SENT", "SENT_UNKNOWN", "REJECTED", "CHARGED"."""

ATTEMPT_OUTCOME: Final = "imagerouter.attempt.outcome"
"""What came of it: "SUCCEEDED", "REFUSED", "RATE_LIMITED" and so on."""

ATTEMPT_TIER: Final = "imagerouter.attempt.tier"
"""Its route's position in the cost cascade."""

ATTEMPT_COST_MICROS: Final = "imagerouter.attempt.cost_micros"
"""What it cost, in millionths of a US dollar."""

ATTEMPT_COST_ESTIMATED: Final = "imagerouter.attempt.cost_estimated"
"""True if the cost is our upper estimate, because the provider gave no usage."""

# Attributes of escalations and fallbacks

ESCALATION_FROM: Final = "imagerouter.escalation.from"
"""The model whose output missed."""

ESCALATION_TO: Final = "imagerouter.escalation.to"
"""The model that is tried next."""

ESCALATION_REASON: Final = "imagerouter.escalation.reason"
"""What it missed: the name of the failed check, or "chain_depth"."""

# Attributes of evaluations

EVALUATION_VERDICT: Final = "imagerouter.evaluation.verdict"
"""The evaluator's recommendation: "ACCEPT", "RETRY", "ESCALATE", "RESET"."""

EVALUATION_P_ACCEPT: Final = "imagerouter.evaluation.p_accept"
"""The probability that the output is acceptable, 0 to 1."""

EVALUATION_FAILED_CHECKS: Final = "imagerouter.evaluation.failed_checks"
"""The names of the checks that failed."""

# Attributes of ledger and artifacts

LEDGER_OPERATION: Final = "imagerouter.ledger.operation"
"""Which transaction: "plan_attempt", "mark_sent", "record_outcome" and so on."""

DB_SYSTEM_NAME: Final = "db.system.name"
"""The ledger's database: "sqlite" or "postgresql"."""

ARTIFACT_DIGEST: Final = "imagerouter.artifact.digest"
"""The artifact's sha256."""

ARTIFACT_SIZE_BYTES: Final = "imagerouter.artifact.size_bytes"
"""The artifact's size."""

ARTIFACT_MEDIA_TYPE: Final = "imagerouter.artifact.media_type"
"""What the artifact's first bytes say it is."""

# Attributes of provider calls (GenAI)

GEN_AI_OPERATION_NAME: Final = "gen_ai.operation.name"
"""What the provider was asked for: "generate_content" (Gemini), "image_generation" or "image_edit" (OpenAI Images)."""

GEN_AI_PROVIDER_NAME: Final = "gen_ai.provider.name"
"""The provider as the conventions spell it: "openai", "gcp.gemini"."""

GEN_AI_REQUEST_MODEL: Final = "gen_ai.request.model"
"""The model that was asked for."""

GEN_AI_RESPONSE_MODEL: Final = "gen_ai.response.model"
"""The model that the provider says answered."""

GEN_AI_RESPONSE_ID: Final = "gen_ai.response.id"
"""The provider's name for the answer."""

GEN_AI_FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
"""Why the provider stopped, in its own words."""

GEN_AI_OUTPUT_TYPE: Final = "gen_ai.output.type"
"""Always "image"."""

GEN_AI_CHOICE_COUNT: Final = "gen_ai.request.choice.count"
"""How many images were asked for."""

GEN_AI_USAGE_INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
"""All input tokens that the provider counted."""

GEN_AI_USAGE_OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
"""All output tokens that the provider counted."""

GEN_AI_USAGE_IMAGE_INPUT_TOKENS: Final = "gen_ai.usage.image.input_tokens"
"""The references' tokens among the input."""

GEN_AI_USAGE_IMAGE_OUTPUT_TOKENS: Final = "gen_ai.usage.image.output_tokens"
"""The pictures' tokens among the output."""

HTTP_STATUS_CODE: Final = "http.response.status_code"
"""The HTTP status of the provider's answer."""

# Events

EVENT_DECISION: Final = "imagerouter.route.decision"
"""The decision as data, with the `imagerouter.decision.*` attributes."""

EVENT_ESCALATION: Final = "imagerouter.escalation"
"""The output missed the quality bar and a higher tier is tried, with the `imagerouter.escalation.*` attributes."""

EVENT_FALLBACK: Final = "imagerouter.fallback"
"""A provider failed and another route is tried, with the `imagerouter.escalation.*` attributes."""

EVENT_RESET: Final = "imagerouter.reset"
"""An edit is restarted from its cleanest ancestor."""

EVENT_REFUSAL: Final = "imagerouter.refusal"
"""A provider's content policy blocked it."""

EVENT_EVALUATION: Final = "gen_ai.evaluation.result"
"""The verdict on one output, with the `imagerouter.evaluation.*` attributes."""

EVENT_PHASE: Final = "imagerouter.attempt.phase_reached"
"""An attempt got further: accepted, sent, answered."""

# Metrics

METRIC_RPC_SERVER_DURATION: Final = "rpc.server.call.duration"
"""Histogram, seconds: served calls, by method and status code."""

METRIC_RPC_CLIENT_DURATION: Final = "rpc.client.call.duration"
"""Histogram, seconds: calls made, by method, status code and server."""

METRIC_INFLIGHT: Final = "imagerouter.rpc.inflight"
"""Up-down counter: calls being served, by method."""

METRIC_LOOP_LAG: Final = "imagerouter.event_loop.lag"
"""Histogram, seconds: how late the event loop woke up."""

METRIC_ROUTE_DECISIONS: Final = "imagerouter.route.decisions"
"""Counter: decisions, by provider, model, step and policy version."""

METRIC_ATTEMPTS: Final = "imagerouter.attempts"
"""Counter: attempts, by provider, model, outcome and phase."""

METRIC_ESCALATIONS: Final = "imagerouter.escalations"
"""Counter: escalations, by from, to and reason."""

METRIC_COST_MICROS: Final = "imagerouter.cost"
"""Counter, millionths of a US dollar: money spent, by provider and model."""

METRIC_UNKNOWN_OUTCOMES: Final = "imagerouter.unknown_outcomes"
"""Gauge: attempts nobody knows the end of. The goal is 0."""

METRIC_IMAGES: Final = "imagerouter.images"
"""Counter: images that ended, by state."""

METRIC_OVERHEAD: Final = "imagerouter.overhead.duration"
"""Histogram, seconds: an image's time less its provider calls."""

METRIC_PROVIDER_DURATION: Final = "gen_ai.client.inference.duration"
"""Histogram, seconds: provider calls, by provider, model and operation."""
