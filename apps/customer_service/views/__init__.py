"""The pages of the customer-service app: they call the service and draw, nothing else."""
