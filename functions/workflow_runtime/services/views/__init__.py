"""What people and programs are shown of executions."""
