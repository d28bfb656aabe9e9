"""The formats of station files. A new one is one module here, with one decorated function, and its test."""
