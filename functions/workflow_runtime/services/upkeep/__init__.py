"""What looks after executions in trouble: the sweep and the dead letters."""
