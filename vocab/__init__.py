"""Caption vocabularies: import, generation, cleaning, provenance."""
