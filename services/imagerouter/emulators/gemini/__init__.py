"""Gemini's generateContent on the wire, as of 2026-11-22 (providers.md 2 and 3.2)."""
