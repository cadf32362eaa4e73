"""ImageService: the ledger, the loop, and the calls to everybody else."""
