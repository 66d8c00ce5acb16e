"""The store: what the host must not forget, in SQLite by default."""
