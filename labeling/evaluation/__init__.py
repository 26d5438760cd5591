"""Is a set of clips near another, are labels true of their clips: measures, and what they would be by chance."""
