"""The pages of the search app: they call the service and draw, nothing else."""
