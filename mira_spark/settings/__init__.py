"""One YAML file, checked whole before anything starts; a section for each step."""
