"""What lies beside a dataset for those who find it: card, datasheet, attribution, Croissant."""
