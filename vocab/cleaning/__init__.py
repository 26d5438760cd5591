"""From raw answers to sentences that may be captions."""
