"""The artifact service: streams artifacts in and out for callers who have no access to the object store."""
