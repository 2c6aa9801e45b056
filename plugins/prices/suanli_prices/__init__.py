"""What sellers asked for an hour of an accelerator, dated."""
