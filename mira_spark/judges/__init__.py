"""Who is asked, what, and how; no Spark."""
