"""Speed side by side with peers: ``python -m benchmarks`` or ``make bench``. See README.md in this folder."""
