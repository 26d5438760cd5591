"""The command cratedig."""
