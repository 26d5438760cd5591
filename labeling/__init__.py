"""The joint embedder, caption search, the inverse-frequency draw and the report."""
