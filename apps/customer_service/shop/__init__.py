"""The sample shop that the assistant acts on: invented orders in SQLite, and the tools that read and change them."""
