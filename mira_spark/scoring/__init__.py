"""Every document scored, on executors."""
