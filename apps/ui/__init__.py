"""The shared look of every page: session, language, states, sources, chat.

Pages import the modules they need; nothing here imports an app.
"""
