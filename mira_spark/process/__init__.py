"""This process: what it prints, how it is interrupted, its clock, its children, its failures."""
