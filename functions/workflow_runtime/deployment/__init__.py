"""What is deployed, as data: queues, functions and rights (`topology`), `settings`, `metrics`, `log_fields`."""
