"""OpenAI's Images API on the wire, as of 2026-11-22 (providers.md 1 and 3.1)."""
