"""What charts may say: `states`, `transitions` and `actions`."""
