"""A crate as other people's trainers read it: what is chosen, how it is written, and what lies beside it."""
