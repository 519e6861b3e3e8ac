"""What a student is: kinds, artefact, from raw scores to one quality; no Spark."""
