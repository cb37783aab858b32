"""What runs admitted tasks, and the hub that wakes who waits for them."""
