"""Real pictures, deterministic per request: layouts with the prompt's own words, scenes for the rest, visible edits."""
