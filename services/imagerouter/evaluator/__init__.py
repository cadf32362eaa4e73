"""The evaluator: is it what was asked for? Looks at pixels in a sandbox and recommends; the loop decides."""
