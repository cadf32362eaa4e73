"""From what a caller wrote to what the suite works on: one settled `Task` per request.

`core.normalize` is pure; `service` adds the object store, `main` the process.
"""
