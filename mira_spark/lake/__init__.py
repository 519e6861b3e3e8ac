"""Storage: the only place that reads or writes tables and files through Spark."""
