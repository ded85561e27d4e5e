"""What is known of each activation, loss, update and operation: one row for each."""
