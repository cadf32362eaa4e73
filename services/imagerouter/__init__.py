"""Image Router: one typed API in front of many image models."""

import os

# C-core writes lines of its own to standard error, between our JSON. It reads this when grpc is first imported.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
