"""The page of the recommendation app: it calls the service and draws, nothing else."""
