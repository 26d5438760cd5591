"""A trained cascade behind a page and an API."""
