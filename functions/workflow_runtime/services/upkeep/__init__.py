"""What looks after executions in trouble, the sweep and the dead letters; and ended ones that move elsewhere."""
