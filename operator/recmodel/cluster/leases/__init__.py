"""Which of several operators acts in which namespace."""
