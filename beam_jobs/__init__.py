"""Thin Apache Beam: shards to do, one function a shard, and the count."""

import logging

# On import Beam warns, through the root logger, of a cloud library that nothing here uses.
logging.getLogger().addFilter(lambda record: "apitools" not in str(record.msg))
