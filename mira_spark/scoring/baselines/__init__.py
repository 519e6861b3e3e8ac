"""Baselines: published ways to score a document without a judge; nothing here knows Spark."""
