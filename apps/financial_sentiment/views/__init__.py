"""The pages of the sentiment desk: they call the service and draw, nothing else."""
