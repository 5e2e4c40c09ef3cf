"""What people ask of an execution as a whole."""
