"""The commands of the ``touchstone`` program, one module for each kind. ``apps.cli`` puts them together."""
