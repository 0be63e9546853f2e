"""Prompts as files: ``core.prompts.library.library.get("grounded_answer").render(language="zh", …)``."""
